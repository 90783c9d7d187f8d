// Messages of the administration protocol as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace google::protobuf {
class Message;
}

namespace chorus::admin {

/// Every field by its name in the .proto, in its order, present or not; numbers as numbers (also 64
/// bits wide), bytes as hexadecimal text, absent messages as null. A field that is added to a
/// message appears without a change here.
nlohmann::ordered_json to_json(const google::protobuf::Message& message);

}  // namespace chorus::admin

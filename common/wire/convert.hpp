// Between protobuf messages and the values of messages.hpp. Internal to common/wire: the only
// header outside proto/ that shows generated types.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/v1/wire.pb.h"
#include "common/wire/messages.hpp"

namespace chorus::wire {

namespace pb = chorus::v1;

/// Names the field that is wrong: Field{"offer", "digest"}.
struct Field {
  std::string_view message;
  std::string_view name;
};

/// malformed_message: "offer.digest: 15 bytes; expected 16".
Failure malformed(const Field& field, std::string_view found, std::string_view expected);

// ---- checked field values (convert.cpp) ----

Result<std::string> name_from(const Field& field, const std::string& text);
Result<std::string> optional_name_from(const Field& field, const std::string& text);
/// Text for people: at most `bytes_max` bytes.
Result<std::string> text_from(const Field& field, const std::string& text, std::size_t bytes_max);
Result<Sha256> sha256_from(const Field& field, const std::string& bytes);
Result<Duration> duration_from(const Field& field, std::uint64_t milliseconds);
Result<errc> code_from(const Field& field, std::uint32_t number);
Result<double> finite_from(const Field& field, double value);
/// Between 1 and `bytes_max` bytes.
Result<std::vector<std::byte>> blob_from(const Field& field,
                                         const std::string& bytes,
                                         std::size_t bytes_max);
Result<std::uint64_t> offset_from(const Field& field, std::uint64_t offset);
Result<TaskRef> task_from(std::string_view message, bool present, const pb::TaskRef& proto);

std::string bytes_to(std::span<const std::byte> bytes);
/// Cut to `bytes_max` at a character's border; bytes that are not UTF-8 become '?', because the
/// peer's parser would refuse the whole message.
std::string text_to(std::string_view text, std::size_t bytes_max);
std::uint64_t duration_to(Duration duration);
void task_to(const TaskRef& task, pb::TaskRef* proto);

// ---- models and plans (model_, plan_, train_plan_, codec_messages.cpp) ----

Result<ModelSpec> spec_from(const pb::ModelSpec& proto);
void spec_to(const ModelSpec& spec, pb::ModelSpec* proto);

Result<Message> work_from(const pb::Work& proto);
pb::Work to_proto(const Work& work);
/// A plan's `required_features`. @errors unsupported_feature, naming one that is not known here
Result<void> check_features(const Field& field,
                            const google::protobuf::RepeatedPtrField<std::string>& names);
/// Their values are checked with the rest of the plan (common/tensor/plan_rules.hpp).
Result<std::vector<FeatureScale>> normalise_from(const Field& field, const pb::Normalise& proto);
void normalise_to(const std::vector<FeatureScale>& scales, pb::Normalise* proto);
/// @param where  the field: "train.compression"
Result<Compression> compression_from(std::string_view where, const pb::Compression& proto);
void compression_to(const Compression& compression, pb::Compression* proto);
Result<codec::VersionSteps> version_steps_from(const pb::VersionSteps& proto);
void version_steps_to(const codec::VersionSteps& all, pb::VersionSteps* proto);
Result<std::vector<std::string>> patterns_from(
    std::string_view where, const google::protobuf::RepeatedPtrField<std::string>& patterns);
Result<TrainPlan> train_plan_from(const pb::TrainPlan& proto);
void train_plan_to(const TrainPlan& plan, pb::TrainPlan* proto);

// ---- tasks (task_messages.cpp) ----

Result<Message> fetch_from(const pb::Fetch& proto);
Result<Message> chunk_from(const pb::Chunk& proto);
Result<Message> offer_from(const pb::Offer& proto);
Result<Message> take_from(const pb::Take& proto);
Result<Message> refuse_from(const pb::Refuse& proto);
Result<Message> accepted_from(const pb::Accepted& proto);
Result<Message> decline_from(const pb::Decline& proto);
Result<Message> cancel_from(const pb::Cancel& proto);

pb::Fetch to_proto(const Fetch& fetch);
pb::Chunk to_proto(const Chunk& chunk);
pb::Offer to_proto(const Offer& offer);
pb::Take to_proto(const Take& take);
pb::Refuse to_proto(const Refuse& refuse);
pb::Accepted to_proto(const Accepted& accepted);
pb::Decline to_proto(const Decline& decline);
pb::Cancel to_proto(const Cancel& cancel);

// ---- sessions (session_messages.cpp) ----

Result<Message> hello_from(const pb::Hello& proto);
Result<Message> welcome_from(const pb::Welcome& proto);
Result<Message> come_back_from(const pb::ComeBack& proto);
Result<Message> error_from(const pb::Error& proto);
Result<Message> goodbye_from(const pb::Goodbye& proto);
Result<Message> enroll_from(const pb::Enroll& proto);
Result<Message> enrolled_from(const pb::Enrolled& proto);
Result<Message> renew_from(const pb::Renew& proto);

pb::Hello to_proto(const Hello& hello);
pb::Welcome to_proto(const Welcome& welcome);
pb::ComeBack to_proto(const ComeBack& come_back);
pb::Error to_proto(const Error& error);
pb::Goodbye to_proto(const Goodbye& goodbye);
pb::Enroll to_proto(const Enroll& enroll);
pb::Enrolled to_proto(const Enrolled& enrolled);
pb::Renew to_proto(const Renew& renew);

}  // namespace chorus::wire

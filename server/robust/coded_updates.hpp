// Compressed updates as a set: what they say, decoded when it is read.
#pragma once

#include <memory>
#include <vector>

#include "common/codec/update_form.hpp"
#include "server/robust/update_set.hpp"
#include "server/update/update_body.hpp"

namespace chorus::server {

/// Bodies of a compressed form, as the journal keeps them. Elements are what
/// codec::decode_update() makes of them: 0 where the form holds none. A run is a piece of the form,
/// or what lies between two; a read decodes each piece that it touches as a whole, unless it is
/// float32 as it is.
/// @pre the bodies are of this form, their payloads checked (check_payloads)
std::unique_ptr<UpdateSet> coded_updates(std::shared_ptr<const codec::UpdateForm> form,
                                         std::vector<UpdateBody> bodies);

/// Of either: bodies of this form, compressed or not.
/// @errors of reading; a body that is not of the form
Result<std::unique_ptr<UpdateSet>> updates_of_form(
    std::shared_ptr<const codec::UpdateForm> form,
    std::vector<std::shared_ptr<const UpdateReader>> bodies);

}  // namespace chorus::server

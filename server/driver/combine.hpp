// A round's updates, all side by side, into the next model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>

#include "chorus/result.hpp"
#include "server/driver/context.hpp"
#include "server/robust/update_set.hpp"
#include "server/strategy/next_model.hpp"
#include "server/strategy/strategy.hpp"

namespace chorus::server {

/// The updates that count, as the journal has them, in the order of their devices' names.
/// On the store thread. @errors of the journal
Result<std::unique_ptr<UpdateSet>> open_updates(const RoundJournal& journal,
                                                const Lane::Form& form,
                                                std::span<const UpdateMeta> counted);

/// Memory that combine_updates() takes for up to so many updates.
std::uint64_t combine_bytes(const Context& context,
                            const codec::UpdateForm& form,
                            std::uint64_t updates);

/// Appends every parameter of the next model: stretch by stretch the updates are decoded where they
/// are coded, combined, and written. On all compute threads; the bits depend on neither.
/// @errors of reading an update, reading the base and writing the next version; busy (memory);
///         invalid_argument: no update, or more than kSetUpdatesMax
boost::asio::awaitable<Result<void>> combine_updates(const Context& context,
                                                     const SetRule& rule,
                                                     const UpdateSet& updates,
                                                     NextModel& next);

}  // namespace chorus::server

// Forwards the kernels per channel to the variant in use.
#include <array>

#include "chorus/kernels/channels.hpp"
#include "kernels/channel_table.hpp"
#include "kernels/dispatch.hpp"

namespace chorus::kernels {
namespace {

const ChannelTable& channel_table() noexcept {
  static constexpr std::array kTables{CHORUS_VARIANTS(ChannelTable)};
  return *kTables[active_index()];
}

}  // namespace

namespace {

RawChannels raw(const ChannelLayout& at) noexcept {
  return {at.examples, at.blocks, at.positions, at.lanes};
}

RawChannelMap raw(const ChannelLayout& at, const ChannelMap& map) noexcept {
  const std::size_t channels = at.channels();
  require(
      map.mean.size() == channels && map.scale.size() == channels && map.shift.size() == channels,
      "a map of channels: one number per channel");
  return {map.mean.data(), map.scale.data(), map.shift.data()};
}

}  // namespace

void channel_sums_f32(const ChannelLayout& at,
                      std::span<const float> x,
                      std::span<double> sum) noexcept {
  require(x.size() == at.values() && sum.size() == at.channels(), "channel_sums_f32: sizes");
  channel_table().sums(raw(at), x.data(), sum.data());
}

void channel_squares_f32(const ChannelLayout& at,
                         std::span<const float> x,
                         std::span<const float> mean,
                         std::span<double> sum) noexcept {
  require(x.size() == at.values() && mean.size() == at.channels() && sum.size() == mean.size(),
          "channel_squares_f32: sizes");
  channel_table().squares(raw(at), x.data(), mean.data(), sum.data());
}

void channel_products_f32(const ChannelLayout& at,
                          std::span<const float> x,
                          std::span<const float> mean,
                          std::span<const float> dy,
                          std::span<double> sum) noexcept {
  require(x.size() == at.values() && dy.size() == x.size() && mean.size() == at.channels() &&
              sum.size() == mean.size(),
          "channel_products_f32: sizes");
  channel_table().products(raw(at), x.data(), mean.data(), dy.data(), sum.data());
}

void channel_map_f32(const ChannelLayout& at,
                     const ChannelMap& map,
                     std::span<const float> x,
                     std::span<float> y) noexcept {
  require(x.size() == at.values() && y.size() == x.size(), "channel_map_f32: sizes");
  channel_table().map(raw(at), raw(at, map), x.data(), y.data());
}

void channel_slopes_f32(const ChannelLayout& at,
                        const ChannelMap& map,
                        const ChannelSlopes& with) noexcept {
  require(with.x.size() == at.values() && with.dy.size() == with.x.size() &&
              with.dx.size() == with.x.size() && with.slope.size() == at.channels(),
          "channel_slopes_f32: sizes");
  channel_table().slopes(
      raw(at), raw(at, map), {with.slope.data(), with.x.data(), with.dy.data(), with.dx.data()});
}

}  // namespace chorus::kernels

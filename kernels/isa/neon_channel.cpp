// The loops per channel with NEON. Only the table may be visible to the linker.
#include "kernels/body/channel-inl.hpp"

namespace chorus::kernels {

constinit const ChannelTable kNeonChannelTable = kChannels;

}  // namespace chorus::kernels

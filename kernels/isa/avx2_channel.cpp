// The loops per channel with AVX2. Only the table may be visible to the linker.
#include "kernels/body/channel-inl.hpp"

namespace chorus::kernels {

constinit const ChannelTable kAvx2ChannelTable = kChannels;

}  // namespace chorus::kernels

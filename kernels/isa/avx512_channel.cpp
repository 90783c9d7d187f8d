// The loops per channel with AVX-512. Only the table may be visible to the linker.
#include "kernels/body/channel-inl.hpp"

namespace chorus::kernels {

constinit const ChannelTable kAvx512ChannelTable = kChannels;

}  // namespace chorus::kernels

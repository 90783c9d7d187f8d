// The loops per channel for the CPU every build must run on: the definition.
#include "kernels/body/channel-inl.hpp"

namespace chorus::kernels {

constinit const ChannelTable kRefChannelTable = kChannels;

}  // namespace chorus::kernels

// The forms that bodies of compressed updates are read as, here and when the corpus is made.
#pragma once

#include <array>
#include <cstdint>

#include "common/codec/update_form.hpp"

namespace chorus::fuzz {

inline codec::UpdateForm update_form(std::uint8_t choice) {
  constexpr std::array<Codec, 10> kCodecs{{{},
                                           {.entropy = true},
                                           {.kind = CodecKind::uniform, .bucket = 64},
                                           {.kind = CodecKind::rotated, .bits = 2, .bucket = 64},
                                           {.kind = CodecKind::top_k, .density = 0.1},
                                           {.kind = CodecKind::ternary, .density = 0.1},
                                           {.kind = CodecKind::random_k, .density = 0.1},
                                           {.kind = CodecKind::qsgd, .bits = 4, .entropy = true},
                                           {.kind = CodecKind::low_rank, .rank = 2},
                                           {.kind = CodecKind::subspace, .rank = 2}}};
  TensorLayout layout;
  layout.tensors = {{"a.weight", {9, 10}, 0, 90, false},
                    {"a.running_mean", {7}, 90, 7, true},
                    {"b.weight", {70}, 97, 70, false}};
  layout.parameters = 167;
  TrainPlan plan;
  plan.compression = Compression{.codec = kCodecs[choice % kCodecs.size()], .seed = 9, .table = 3};
  return codec::UpdateForm::of(plan, layout).value();
}

}  // namespace chorus::fuzz

// Codecs of every kind and vectors of every sort.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/rng.hpp"
#include "common/codec/method.hpp"

namespace chorus::test {

struct NamedCodec {
  std::string name;
  Codec codec;
};

inline std::vector<NamedCodec> every_codec() {
  std::vector<NamedCodec> all{
      {"f32", {.kind = CodecKind::f32}},
      {"f16", {.kind = CodecKind::f16}},
      {"bf16", {.kind = CodecKind::bf16}},
      {"sign", {.kind = CodecKind::sign, .bucket = 128}},
      {"top_k", {.kind = CodecKind::top_k, .density = 0.05}},
      {"top_k_half", {.kind = CodecKind::top_k, .density = 0.5}},
      {"random_k", {.kind = CodecKind::random_k, .density = 0.1}},
      {"ternary", {.kind = CodecKind::ternary, .density = 0.05}},
      {"low_rank", {.kind = CodecKind::low_rank, .rank = 2, .columns = 20}},
      {"low_rank_wide", {.kind = CodecKind::low_rank, .rank = 1, .columns = 50}},
      {"subspace", {.kind = CodecKind::subspace, .rank = 2, .columns = 20}},
      {"subspace_rows",
       {.kind = CodecKind::subspace, .rank = 3, .columns = 10, .shares_rows = true}}};
  for (std::uint32_t bits = 1; bits <= 8; ++bits) {
    const std::string name = std::to_string(bits);
    all.push_back({"uniform" + name, {.kind = CodecKind::uniform, .bits = bits, .bucket = 128}});
    if (bits >= 2) {
      all.push_back({"qsgd" + name, {.kind = CodecKind::qsgd, .bits = bits, .bucket = 64}});
      all.push_back(
          {"qsgd_l2_" + name,
           {.kind = CodecKind::qsgd, .bits = bits, .bucket = 256, .norm = CodecNorm::l2}});
    }
    if (bits <= 4) {
      all.push_back({"rotated" + name, {.kind = CodecKind::rotated, .bits = bits, .bucket = 256}});
      all.push_back(
          {"rotated_least_error" + name,
           {.kind = CodecKind::rotated, .bits = bits, .bucket = 64, .least_error = true}});
    }
  }
  const std::vector<NamedCodec> plain = all;
  for (const NamedCodec& named : plain) {
    if (named.name.find('3') == std::string::npos && named.codec.bits != 8) continue;
    all.push_back({named.name + " with entropy", named.codec});
    all.back().codec.entropy = true;
  }
  return all;
}

inline std::vector<float> gaussian(std::size_t n, std::uint64_t seed, double scale = 1.0) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& value : x) value = static_cast<float>(scale * rng.normal());
  return x;
}

/// Student's t with three degrees of freedom: a few elements far from the others.
inline std::vector<float> heavy_tailed(std::size_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& value : x) {
    const double normal = rng.normal();
    const double chi = 2.0 * rng.gamma(1.5);
    value = static_cast<float>(normal / std::sqrt(chi / 3.0));
  }
  return x;
}

/// Vectors that make trouble, of every length around a bucket's.
inline std::vector<std::vector<float>> awkward_vectors() {
  std::vector<std::vector<float>> all;
  for (const std::size_t n :
       {0UL, 1UL, 2UL, 3UL, 63UL, 64UL, 65UL, 127UL, 128UL, 129UL, 1000UL, 5000UL}) {
    all.push_back(gaussian(n, n));
    all.emplace_back(n, 0.0F);
    all.emplace_back(n, -1.5F);
    all.push_back(gaussian(n, n + 1, 1e-42));
    all.push_back(heavy_tailed(n, n + 2));
    std::vector<float> spike(n, 0.0F);
    if (n > 0) spike[n / 2] = -3.0F;
    all.push_back(spike);
  }
  return all;
}

inline double squares(const std::vector<float>& x) {
  double sum = 0.0;
  for (const float value : x) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

inline float largest_magnitude(const std::vector<float>& x) {
  float most = 0.0F;
  for (const float value : x) most = std::max(most, std::fabs(value));
  return most;
}

}  // namespace chorus::test

#include "common/config/compress_table.hpp"

#include <fmt/format.h>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.hpp"
#include "common/codec/method.hpp"
#include "common/codec/names.hpp"

namespace chorus::config {
namespace {

// Whether `key` may be read; written for a codec that does not take it, it is a problem.
bool may(const TomlTable& table, std::string_view key, bool takes, const codec::Named& kind) {
  if (takes) return true;
  if (table.has(key)) {
    table.problem(key, fmt::format("the codec \"{}\" does not take it; leave it out", kind.name));
  }
  return false;
}

/// @returns whether a codec is named
bool read_codec(const TomlTable& table, Codec& into) {
  std::vector<std::string_view> names;
  for (const codec::Named& known : codec::all_codecs()) names.push_back(known.name);
  std::size_t index = 0;
  if (!table.require("codec", "the name of a codec such as \"uniform\"")) return false;
  if (!table.word("codec", index, names)) return false;
  const codec::Named& kind = codec::all_codecs().at(index);
  Codec codec = kind.usual;
  if (may(table, "bits", kind.takes.bits, kind)) table.whole("bits", codec.bits, {1, 8});
  if (may(table, "bucket", kind.takes.bucket, kind)) {
    table.whole("bucket", codec.bucket, {limits::kCodecBucketMin, limits::kCodecBucketMax});
  }
  if (may(table, "density", kind.takes.density, kind)) {
    table.number("density", codec.density, {.min = 0, .max = 1, .min_excluded = true});
  }
  if (may(table, "rank", kind.takes.rank, kind)) {
    table.whole("rank", codec.rank, {1, limits::kCodecRankMax});
  }
  if (may(table, "norm", kind.takes.norm, kind)) {
    table.choice("norm", codec.norm, {{"l2", CodecNorm::l2}, {"maximum", CodecNorm::maximum}});
  }
  if (may(table, "least_error", kind.takes.least_error, kind)) {
    table.boolean("least_error", codec.least_error);
  }
  table.boolean("entropy", codec.entropy);
  if (const auto good = codec::check_codec(codec); !good) {
    const bool bits = good.error().detail.find("bits") != std::string::npos;
    table.problem(bits ? "bits" : "bucket", good.error().detail);
    return false;
  }
  into = codec;
  return true;
}

// What a codec leaves out of a difference is part of the next one.
void check_difference(const TomlTable& table, const Compression& compression) {
  std::vector<Codec> all{compression.codec};
  for (const TensorCodec& own : compression.tensors) all.push_back(own.codec);
  for (const Codec& codec : all) {
    if (const auto good = codec::check_contracts(codec); !good) {
      table.problem("feedback", good.error().detail);
    }
  }
}

void read_momentum(const TomlTable& table, Compression& into, bool codecs_are_good) {
  if (!table.number("momentum", into.momentum, {.min = 0, .max = 1, .max_excluded = true})) return;
  const bool any = codec::find_codec(into, codec::chooses_elements) != nullptr;
  if (codecs_are_good && into.momentum > 0.0 && (!any || into.feedback != Feedback::error)) {
    table.problem("momentum",
                  "it is for top_k and ternary with feedback = \"error\"; leave it out");
  }
}

}  // namespace

bool read_codecs(const TomlTable& table, Compression& into) {
  Compression compression = into;
  bool good = read_codec(table, compression.codec);
  const auto exceptions = table.tables("tensors");
  if (exceptions.size() > limits::kCodecRulesMax) {
    table.problem("tensors", fmt::format("expected at most {} tables", limits::kCodecRulesMax));
    return false;
  }
  for (const TomlTable& exception : exceptions) {
    TensorCodec own;
    if (exception.require("tensors", "a pattern of tensor names such as \"conv1.*\"")) {
      exception.text("tensors", own.tensors, {limits::kTensorNameBytesMax});
    }
    good = read_codec(exception, own.codec) && good;
    compression.tensors.push_back(std::move(own));
  }
  if (good) into = std::move(compression);
  return good;
}

void read_compress(const TomlTable& table, std::optional<Compression>& into) {
  if (!table.present() || (table.has("down") && !table.has("codec"))) return;
  Compression compression;
  const bool good = read_codecs(table, compression);
  const bool wants = codec::find_codec(compression, codec::leaves_out) != nullptr;
  compression.feedback = wants ? Feedback::error : Feedback::none;
  table.choice(
      "feedback",
      compression.feedback,
      {{"none", Feedback::none}, {"error", Feedback::error}, {"difference", Feedback::difference}});
  if (good && !wants && compression.feedback == Feedback::error) {
    table.problem("feedback",
                  "no codec here leaves anything out for good; feedback is for sign, top_k, "
                  "ternary, low_rank, subspace, and rotated with least_error");
  }
  if (good && compression.feedback == Feedback::difference) check_difference(table, compression);
  read_momentum(table, compression, good);
  if (good) into = std::move(compression);
}

}  // namespace chorus::config

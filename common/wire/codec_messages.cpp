// How an update is compressed, between protobuf and values.
#include <algorithm>
#include <string>
#include <utility>

#include "common/base/limits.hpp"
#include "common/base/try.hpp"
#include "common/codec/method.hpp"
#include "common/codec/names.hpp"
#include "common/wire/convert.hpp"

namespace chorus::wire {
namespace {

Failure unknown(const std::string& field, int number) {
  return fail(errc::unsupported_feature,
              "work.train." + field + ": number " + std::to_string(number) +
                  " is not known here; a newer version of this software may know it");
}

Result<Codec> codec_from(const std::string& field, const pb::Codec& proto) {
  if (proto.kind() == pb::CODEC_UNSPECIFIED) {
    return malformed({"work", "train." + field + ".kind"}, "missing", "a kind");
  }
  const auto& all = codec::all_codecs();
  const bool known = std::any_of(all.begin(), all.end(), [&proto](const codec::Named& one) {
    return static_cast<int>(one.kind) == proto.kind();
  });
  if (!known) return unknown(field + ".kind", proto.kind());
  Codec codec;
  codec.kind = static_cast<CodecKind>(proto.kind());
  codec.entropy = proto.entropy();
  const codec::Parameters takes = codec::named(codec.kind).takes;
  if (takes.bits) codec.bits = proto.bits();
  if (takes.bucket) codec.bucket = proto.bucket();
  if (takes.density) codec.density = proto.density();
  if (takes.least_error) codec.least_error = proto.least_error();
  if (takes.norm) {
    if (proto.norm() != pb::NORM_L2 && proto.norm() != pb::NORM_MAXIMUM) {
      return unknown(field + ".norm", proto.norm());
    }
    codec.norm = static_cast<CodecNorm>(proto.norm());
  }
  if (const auto good = codec::check_codec(codec); !good) {
    return fail(errc::malformed_message, "work.train." + field + ": " + good.error().detail);
  }
  return codec;
}

void codec_to(const Codec& codec, pb::Codec* proto) {
  proto->set_kind(static_cast<pb::CodecKind>(codec.kind));
  const codec::Parameters takes = codec::named(codec.kind).takes;
  if (takes.bits) proto->set_bits(codec.bits);
  if (takes.bucket) proto->set_bucket(codec.bucket);
  if (takes.density) proto->set_density(codec.density);
  if (takes.least_error) proto->set_least_error(codec.least_error);
  if (takes.norm) proto->set_norm(static_cast<pb::CodecNorm>(codec.norm));
  proto->set_entropy(codec.entropy);
}

}  // namespace

Result<Compression> compression_from(const pb::Compression& proto) {
  Compression compression;
  CHORUS_TRY(compression.codec, codec_from("compression.codec", proto.codec()));
  if (static_cast<std::size_t>(proto.tensors_size()) > limits::kCodecRulesMax) {
    return malformed({"work", "train.compression.tensors"},
                     std::to_string(proto.tensors_size()) + " rules",
                     "at most " + std::to_string(limits::kCodecRulesMax));
  }
  for (const pb::TensorCodec& from : proto.tensors()) {
    TensorCodec own;
    CHORUS_TRY(
        own.tensors,
        text_from(
            {"work", "train.compression.tensors"}, from.tensors(), limits::kTensorNameBytesMax));
    CHORUS_TRY(own.codec, codec_from("compression.tensors.codec", from.codec()));
    compression.tensors.push_back(std::move(own));
  }
  if (proto.feedback() < 0 || proto.feedback() > pb::FEEDBACK_ERROR) {
    return unknown("compression.feedback", proto.feedback());
  }
  compression.feedback = static_cast<Feedback>(proto.feedback());
  compression.seed = proto.seed();
  compression.table = proto.table();
  return compression;
}

void compression_to(const Compression& compression, pb::Compression* proto) {
  codec_to(compression.codec, proto->mutable_codec());
  for (const TensorCodec& own : compression.tensors) {
    pb::TensorCodec* const to = proto->add_tensors();
    to->set_tensors(own.tensors);
    codec_to(own.codec, to->mutable_codec());
  }
  proto->set_feedback(static_cast<pb::Feedback>(compression.feedback));
  proto->set_seed(compression.seed);
  proto->set_table(compression.table);
}

}  // namespace chorus::wire

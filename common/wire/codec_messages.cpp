// How updates and versions are compressed, between protobuf and values.
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
              "work." + field + ": number " + std::to_string(number) +
                  " is not known here; a newer version of this software may know it");
}

Result<Codec> codec_from(const std::string& field, const pb::Codec& proto) {
  if (proto.kind() == pb::CODEC_UNSPECIFIED) {
    return malformed({"work", field + ".kind"}, "missing", "a kind");
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
  if (takes.rank) codec.rank = proto.rank();
  if (takes.least_error) codec.least_error = proto.least_error();
  if (takes.norm) {
    if (proto.norm() != pb::NORM_L2 && proto.norm() != pb::NORM_MAXIMUM) {
      return unknown(field + ".norm", proto.norm());
    }
    codec.norm = static_cast<CodecNorm>(proto.norm());
  }
  if (const auto good = codec::check_codec(codec); !good) {
    return fail(errc::malformed_message, "work." + field + ": " + good.error().detail);
  }
  return codec;
}

void codec_to(const Codec& codec, pb::Codec* proto) {
  proto->set_kind(static_cast<pb::CodecKind>(codec.kind));
  const codec::Parameters takes = codec::named(codec.kind).takes;
  if (takes.bits) proto->set_bits(codec.bits);
  if (takes.bucket) proto->set_bucket(codec.bucket);
  if (takes.density) proto->set_density(codec.density);
  if (takes.rank) proto->set_rank(codec.rank);
  if (takes.least_error) proto->set_least_error(codec.least_error);
  if (takes.norm) proto->set_norm(static_cast<pb::CodecNorm>(codec.norm));
  proto->set_entropy(codec.entropy);
}

}  // namespace

Result<Compression> compression_from(std::string_view where, const pb::Compression& proto) {
  const std::string field(where);
  Compression compression;
  CHORUS_TRY(compression.codec, codec_from(field + ".codec", proto.codec()));
  if (static_cast<std::size_t>(proto.tensors_size()) > limits::kCodecRulesMax) {
    return malformed({"work", field + ".tensors"},
                     std::to_string(proto.tensors_size()) + " rules",
                     "at most " + std::to_string(limits::kCodecRulesMax));
  }
  for (const pb::TensorCodec& from : proto.tensors()) {
    TensorCodec own;
    CHORUS_TRY(
        own.tensors,
        text_from({"work", field + ".tensors"}, from.tensors(), limits::kTensorNameBytesMax));
    CHORUS_TRY(own.codec, codec_from(field + ".tensors.codec", from.codec()));
    compression.tensors.push_back(std::move(own));
  }
  if (proto.feedback() < 0 || proto.feedback() > pb::FEEDBACK_DIFFERENCE) {
    return unknown(field + ".feedback", proto.feedback());
  }
  compression.feedback = static_cast<Feedback>(proto.feedback());
  CHORUS_TRY(compression.momentum, finite_from({"work", field + ".momentum"}, proto.momentum()));
  if (compression.momentum < 0.0 || compression.momentum >= 1.0) {
    return malformed(
        {"work", field + ".momentum"}, std::to_string(compression.momentum), "0 or more, below 1");
  }
  compression.since = proto.since();
  const bool differs = compression.feedback == Feedback::difference;
  if (differs && (compression.since == 0 || compression.since > limits::kRoundsMax)) {
    return malformed({"work", field + ".since"},
                     std::to_string(compression.since),
                     "1 to " + std::to_string(limits::kRoundsMax));
  }
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
  proto->set_momentum(compression.momentum);
  proto->set_since(compression.since);
  proto->set_seed(compression.seed);
  proto->set_table(compression.table);
}

Result<codec::VersionSteps> version_steps_from(const pb::VersionSteps& proto) {
  codec::VersionSteps all;
  CHORUS_TRY(all.compression, compression_from("steps.compression", proto.compression()));
  CHORUS_TRY(all.trainable.only, patterns_from("steps.trainable.only", proto.trainable().only()));
  CHORUS_TRY(all.trainable.frozen,
             patterns_from("steps.trainable.frozen", proto.trainable().frozen()));
  CHORUS_TRY(all.local, patterns_from("steps.local", proto.local()));
  const auto count = static_cast<std::size_t>(proto.steps_size());
  if (count == 0 || count > limits::kVersionStepsMax) {
    return malformed({"work", "steps.steps"},
                     std::to_string(count) + " steps",
                     "1 to " + std::to_string(limits::kVersionStepsMax));
  }
  for (const pb::VersionStep& from : proto.steps()) {
    codec::VersionStep step;
    if (!from.base_sha256().empty()) {
      CHORUS_TRY(step.base, sha256_from({"work", "steps.base_sha256"}, from.base_sha256()));
    }
    CHORUS_TRY(step.sha256, sha256_from({"work", "steps.sha256"}, from.sha256()));
    if (!all.steps.empty() && step.base != all.steps.back().sha256) {
      return malformed(
          {"work", "steps.base_sha256"}, "another version", "the one that the step before makes");
    }
    if (from.bytes() == 0 || from.bytes() > limits::kModelBytesMax) {
      return malformed({"work", "steps.bytes"},
                       std::to_string(from.bytes()),
                       "1 to " + std::to_string(limits::kModelBytesMax));
    }
    step.bytes = from.bytes();
    step.seed = from.seed();
    all.steps.push_back(step);
  }
  return all;
}

void version_steps_to(const codec::VersionSteps& all, pb::VersionSteps* proto) {
  compression_to(all.compression, proto->mutable_compression());
  for (const std::string& one : all.trainable.only) proto->mutable_trainable()->add_only(one);
  for (const std::string& one : all.trainable.frozen) proto->mutable_trainable()->add_frozen(one);
  for (const std::string& one : all.local) proto->add_local(one);
  for (const codec::VersionStep& step : all.steps) {
    pb::VersionStep* const to = proto->add_steps();
    if (step.base) to->set_base_sha256(bytes_to(step.base->bytes));
    to->set_sha256(bytes_to(step.sha256.bytes));
    to->set_bytes(step.bytes);
    to->set_seed(step.seed);
  }
}

}  // namespace chorus::wire

// What codecs are called, and which parameters each takes.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "chorus/codec.hpp"
#include "chorus/result.hpp"

namespace chorus::codec {

/// The parameters that a kind looks at; the others do not count.
struct Parameters {
  bool bits = false;
  bool bucket = false;
  bool density = false;
  bool rank = false;
  bool norm = false;
  bool least_error = false;
};

struct Named {
  CodecKind kind;
  std::string_view name;  ///< in files and tables: "top_k"
  Parameters takes;
  Codec usual{};  ///< what is not said
};

/// Every codec there is.
const std::array<Named, 12>& all_codecs() noexcept;

/// @pre kind is an enumerator
const Named& named(CodecKind kind) noexcept;

/// Whether what the codec leaves out is missing for good unless it is fed back: sign, top_k,
/// ternary, low_rank, subspace, and rotated of least error. What unbiased codecs are off by
/// averages out, and feeding it back could let it grow: their error may be larger than the update.
bool leaves_out(const Codec& codec) noexcept;

/// Whether the codec sends some elements only: top_k, random_k, ternary.
bool sparse(const Codec& codec) noexcept;

/// Whether the codec sees a tensor as a matrix: low_rank, subspace.
bool is_matrix(const Codec& codec) noexcept;

/// Whether what devices send is of directions that the server has chosen (basis.hpp): subspace.
bool has_basis(const Codec& codec) noexcept;

/// Whether each device chooses for itself which elements it sends: top_k, ternary.
bool chooses_elements(const Codec& codec) noexcept;

/// Whether the codec lets through the largest part of a change and little of a model: the sparse
/// ones, sign, low_rank and subspace.
bool for_changes_only(const Codec& codec) noexcept;

/// Whether what the codec leaves out is less than what there is, ‖x − decode(encode(x))‖² < ‖x‖² on
/// average: then what is left out of a model that is sent change by change stays bounded. Where it
/// depends on the parameters, by the worst bucket of b elements with s levels: b / 2s² of uniform,
/// b / 4s² of qsgd with the maximum, and b / s² with the Euclidean norm (Alistarh et al. 2017,
/// Lemma 3.1) are below 1.
bool contracts(const Codec& codec) noexcept;
/// @errors invalid_argument: it does not; the detail says what to do
Result<void> check_contracts(const Codec& codec);

/// The codec of all tensors, or the first exception's, of which that is true; null without one.
const Codec* find_codec(const Compression& compression, bool (*is)(const Codec&)) noexcept;

/// "uniform, 8 bits, buckets of 512".
std::string describe(const Codec& codec);

}  // namespace chorus::codec

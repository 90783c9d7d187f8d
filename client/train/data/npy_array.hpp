// One array of NumPy's file format (NEP 1): magic, version, a Python dictionary, values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chorus/result.hpp"
#include "client/train/data/byte_source.hpp"

namespace chorus::client {

struct NpyHeader {
  char kind = 0;                     ///< 'f', 'i' or 'u'
  std::size_t value_bytes = 0;       ///< f: 4, 8; i and u: 1, 2, 4, 8
  bool fortran_order = false;        ///< the first index runs fastest in the file
  std::vector<std::uint64_t> shape;  ///< no 0 in it
  std::uint64_t count = 1;           ///< product of shape

  std::string shape_text() const;  ///< "(10, 8)", as Python prints it
  std::string type_text() const;   ///< "float32"
};

/// malformed_file: "NAME: detail".
Failure malformed_npy(const ByteSource& source, std::string_view detail);

/// @errors of the source; malformed_file: no array file, truncated, a type or byte order that is
///         not read, a header beyond kNpyHeaderBytesMax, impossible dimensions
Result<NpyHeader> read_npy_header(ByteSource& source);

/// The values as float32 of value / divide_by, in C order; the source must end after them.
/// @errors of the source; malformed_file: fewer or more values than the header announces
Result<std::vector<float>> read_npy_floats(ByteSource& source,
                                           const NpyHeader& header,
                                           double divide_by);

/// Values from their bytes in the file. @pre bytes.size() == into.size() × header.value_bytes
void npy_floats(const NpyHeader& header,
                std::span<const std::byte> bytes,
                double divide_by,
                std::span<float> into);

/// Whole values as they are. @pre header.kind is 'i' or 'u', one dimension
/// @errors as read_npy_floats; malformed_file: a value of 2^63 or more
Result<std::vector<std::int64_t>> read_npy_whole(ByteSource& source, const NpyHeader& header);

}  // namespace chorus::client

// Datasets from NumPy's array files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "chorus/client/dataset.hpp"
#include "chorus/export.hpp"
#include "chorus/result.hpp"

namespace chorus::client {

/// Arrays of one dataset: files of their own (.npy, plain or gzip), or members of one .npz, which
/// is a zip archive of .npy files, stored or deflated (numpy.savez, numpy.savez_compressed).
struct NpyOptions {
  std::filesystem::path archive;  ///< .npz; then the three below are names in it, without ".npy"
  std::string features = "x";     ///< path or name: numbers, shape (n, …), 2 to 8 dimensions
  std::string labels = "y";       ///< path or name: whole numbers from 0, shape (n,)
  std::string keys;               ///< path or name: whole numbers that say whose example it is,
                                  ///< shape (n,); empty: none
  double divide_by = 1.0;         ///< every feature is divided by this
  std::vector<std::uint64_t> feature_shape;        ///< e.g. {1, 8, 8}; empty: the array's, less n
  std::uint32_t classes = 0;                       ///< 0: the largest label + 1
  std::uint64_t bytes_max = kDatasetBytesDefault;  ///< of features and labels in memory
  /// Features stay in their file and are read whenever they are needed: an array in C order, in a
  /// plain .npy or stored in an archive, whose checksum is then not compared. Values that are not
  /// finite are found when they are read.
  bool stream = false;
};

/// Reads arrays of format versions 1.0, 2.0 and 3.0 in C or Fortran order; the dataset has C order
/// always. Features are float32, float64 or integers of 1 to 8 bytes, all little-endian; labels and
/// keys are such integers. Each becomes the nearest float32 of value / divide_by.
/// @errors not_found, io_failed; malformed_file: naming file and array, what was found and what was
///         expected (other types, byte orders and shapes, truncated or longer files, damaged or
///         encrypted archives); invalid_argument: the options contradict the file; not_finite
CHORUS_EXPORT Result<KeyedDataset> load_npy(const NpyOptions& options);

}  // namespace chorus::client

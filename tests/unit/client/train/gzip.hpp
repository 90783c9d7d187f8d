// Writes files for tests of readers.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <zlib.h>

namespace chorus::test {

inline void write_plain(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

inline void write_gzip(const std::filesystem::path& path, const std::string& content) {
  gzFile_s* const file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  ::gzclose(file);
}

}  // namespace chorus::test

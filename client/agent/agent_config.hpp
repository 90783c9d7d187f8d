// Everything chorus-agent can be told, by its file or by flags.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "chorus/client/audio.hpp"
#include "chorus/client/augmentation.hpp"
#include "chorus/client/dataset.hpp"
#include "chorus/client/images.hpp"
#include "chorus/client/text.hpp"
#include "chorus/result.hpp"
#include "common/base/log.hpp"

namespace chorus::agent {

/// Where the examples come from and which of them are this device's.
struct DataConfig {
  std::filesystem::path file;               ///< CSV, plain or .gz
  std::string label_column;                 ///< name, or number: 0 first, -1 last; empty: the last,
                                            ///< or none with target columns
  std::vector<std::string> target_columns;  ///< same; numbers that the loss aims at
  bool header = false;                      ///< the first line holds column names
  std::vector<std::string> categorical;     ///< columns of words: "sex", or "sex=female|male"
  std::optional<double> missing;            ///< stands for missing numbers; none: an error
  std::string normalise = "none";    ///< none | standard | min-max, fitted to what is trained on
  std::vector<double> mean;          ///< given instead: what is taken from each channel …
  std::vector<double> deviation;     ///< … and what it is divided by
  double scale = 1.0;                ///< features are divided by this
  std::vector<std::uint64_t> shape;  ///< of one example; empty: flat
  std::filesystem::path images;      ///< idx, plain or .gz
  std::filesystem::path npy;         ///< features as NumPy's array file, plain or .gz
  std::filesystem::path labels;      ///< of images: idx; of npy: an array file
  std::filesystem::path npz;         ///< features and labels as an archive of arrays …
  std::string features_array = "x";  ///< … under this name
  std::string labels_array = "y";
  std::filesystem::path wav;       ///< a folder with one sub-folder of .wav files per class …
  client::LogMelOptions log_mel;   ///< … and what becomes of them
  std::uint64_t clip_samples = 0;  ///< clips are cut or filled to this; 0: they are all alike
  std::filesystem::path pictures;  ///< a folder with one sub-folder of JPEG and PNG files per class
  std::string picture_fit = "crop";   ///< crop | stretch
  bool stream = false;                ///< examples are read from their files when they are needed
  std::uint64_t memory_mib = 4096;    ///< of examples in memory
  client::Augmentation augmentation;  ///< of the examples that are trained on
  std::filesystem::path text;         ///< a text, plain or .gz, to predict the next character of
  std::uint32_t text_window = 80;     ///< characters the model sees
  std::uint32_t text_stride = 1;      ///< characters from one example to the next
  bool text_sequence = false;         ///< a target for every character, not the last one only
  std::string vocabulary = client::printable_characters();
  std::string replacement;    ///< of the vocabulary, for other bytes; empty: they are errors
  std::uint32_t classes = 0;  ///< 0: the largest label + 1

  std::string partition = "none";  ///< none | iid | dirichlet:ALPHA | shards:S | column:NAME
  std::uint32_t parts = 1;         ///< devices that share the examples
  std::uint32_t part = 0;          ///< this one
  std::uint64_t seed = 0;          ///< the same on all of them
  double test_fraction = 0.0;      ///< of all examples, no device's: for evaluating the result
  std::vector<std::string> test_keys{};  ///< instead, with column:NAME: all examples of these
  double hold_out = 0.2;                 ///< of this device's examples: for evaluation tasks
};

struct AgentConfig {
  std::string server;  ///< "host:port"; empty: the one enrolled at
  std::filesystem::path state;
  std::vector<std::string> jobs;
  std::uint64_t tasks_max = 0;  ///< 0: until stopped
  unsigned threads = 1;
  DataConfig data;
  LogOptions log;
};

/// Reads a file into `config`, whose values are the defaults.
/// @errors malformed_file: every problem with line, key, value and what was expected; not_found
Result<void> load_config(const std::filesystem::path& path, AgentConfig& config);

/// "1x8x8" → {1, 8, 8}. @errors invalid_argument
Result<std::vector<std::uint64_t>> parse_shape(const std::string& text);

/// "none", "standard" or "min-max". @errors invalid_argument
Result<client::Normalisation> parse_normalisation(const std::string& text);
/// "crop" or "stretch". @errors invalid_argument
Result<client::ImageFit> parse_picture_fit(const std::string& text);

/// Whether examples are put aside that no device trains on.
bool has_test_set(const DataConfig& data);

/// Values that do not go together. @errors invalid_argument, saying which flag and key
Result<void> check_data(const DataConfig& data);

}  // namespace chorus::agent

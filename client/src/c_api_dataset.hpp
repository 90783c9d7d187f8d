// What a data set's handle of the C interface is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chorus/c/files.h"
#include "chorus/client/dataset.hpp"
#include "client/src/c_api.hpp"

struct chorus_dataset {
  static constexpr auto kKind = chorus::capi::Handle::dataset;
  chorus_dataset() = default;
  chorus_dataset(const chorus_dataset&) = delete;  // `categories` points into the others
  chorus_dataset& operator=(const chorus_dataset&) = delete;

  chorus::capi::Handle kind = kKind;
  chorus::client::Dataset data;
  chorus::client::ExampleKeys keys;      // empty, or one per example
  std::vector<std::string> class_names;  // empty, or one per class
  std::vector<chorus_scale> scales;
  std::vector<chorus::client::CategoricalColumn> columns;
  std::vector<std::vector<const char*>> values;  // of `columns`
  std::vector<chorus_category> categories;       // views of both
};

namespace chorus::capi {

/// A list that a program hands in as pointer and count.
/// @errors invalid_argument: null with a count, or more than an address space holds
template <class T>
Result<std::vector<T>> list_from(const T* items, std::uint64_t count, std::string_view name) {
  if (count == 0) return std::vector<T>();
  if (items == nullptr) return null_argument(name);
  if (count > static_cast<std::uint64_t>(PTRDIFF_MAX) / sizeof(T)) {
    return fail(errc::invalid_argument,
                "'" + std::string(name) + "' cannot have " + std::to_string(count) + " elements");
  }
  return std::vector<T>(items, items + count);
}

/// Makes `categories` the view of `columns`.
void show_categories(chorus_dataset& dataset);

/// @errors as list_from()
Result<std::vector<client::FeatureScale>> scales_from(const chorus_scale* scales,
                                                      std::uint64_t count,
                                                      std::string_view name);
/// @errors invalid_argument: none of the enumerators
Result<client::Normalisation> normalisation_from(chorus_normalisation from);

/// @errors invalid_argument: null with a rank, more than 8 dimensions
Result<std::vector<std::uint64_t>> shape_from(const std::uint64_t* shape,
                                              std::size_t rank,
                                              std::string_view name);

/// Sets the program's handle to a data set that `make` makes: a callable that returns
/// Result<std::unique_ptr<chorus_dataset>>.
template <class Make>
chorus_status give_dataset(chorus_dataset** dataset, Make&& make) noexcept {
  return guarded([&]() -> Result<void> {
    CHORUS_OK(not_null(dataset, "dataset"));
    *dataset = nullptr;
    CHORUS_TRY(auto made, make());
    *dataset = made.release();
    return {};
  });
}

}  // namespace chorus::capi

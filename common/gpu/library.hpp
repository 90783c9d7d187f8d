// A shared library loaded at run time, and its functions by name.
#pragma once

#include <dlfcn.h>
#include <initializer_list>
#include <string>

#include "chorus/result.hpp"

namespace chorus::gpu {

class Library {
 public:
  /// The first of the names that loads. It stays loaded: drivers start threads of their own.
  /// @errors not_found
  static Result<Library> load(std::initializer_list<const char*> names) {
    std::string why;
    for (const char* name : names) {
      if (void* handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return Library(handle);
      const char* reason = ::dlerror();
      why = reason != nullptr ? reason : name;
    }
    return fail(errc::not_found, why);
  }

  /// False if the library has no such function; `function` is left alone.
  template <class F>
  bool find(const char* name, F& function) const {
    void* const symbol = ::dlsym(handle_, name);
    if (symbol == nullptr) return false;
    function = reinterpret_cast<F>(symbol);
    return true;
  }

 private:
  explicit Library(void* handle) : handle_(handle) {}

  void* handle_;
};

}  // namespace chorus::gpu

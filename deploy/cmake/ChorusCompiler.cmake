# Language level, warnings, sanitizers and ccache for every target of this project.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Line tables are what back-traces need; full debug information triples build time and disk.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1 -D_GLIBCXX_ASSERTIONS")

# A section per function and variable: the linker drops those that a shared library does not need.
# docs/footprint.md says what that is worth.
option(CHORUS_SECTIONS "One section per function, so that libraries carry only what they need" ON)
if(CHORUS_SECTIONS)
  add_compile_options($<$<NOT:$<CONFIG:Debug>>:-ffunction-sections>
                      $<$<NOT:$<CONFIG:Debug>>:-fdata-sections>)
endif()

# For what a device runs a few times in a round: bytes on its disk count more than time.
set(CHORUS_SMALL $<$<NOT:$<CONFIG:Debug>>:-Os>)

# Results must not depend on the instruction set: no contraction of a*b+c, anywhere.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Werror -ffp-contract=off)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees Asio's coroutine frames, which have matching operators new and delete of their own,
  # as mismatched when it inlines only one of the two (optimised builds).
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete>)
endif()

set(CHORUS_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(CHORUS_SANITIZE)
  add_compile_options(-fsanitize=${CHORUS_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CHORUS_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CHORUS_SANITIZE MATCHES "undefined")
    # Coroutines do not assemble with -fsanitize=function on clang 14. The check of virtual tables
    # opens a pipe to see whether memory can be read, so it reports a fault where a test has used
    # up all descriptors; and C programs that link libchorus would need its C++ half.
    add_compile_options(-fno-sanitize=function,vptr)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    # Instrumented loops do not become vectors, whatever a pragma asks for.
    add_compile_options(-Wno-pass-failed)
    # Optimising instrumented code takes longer than all tests win by it; hot loops (kernels/) ask
    # for more by themselves.
    string(REPLACE "-Og" "-O0" CMAKE_CXX_FLAGS_DEBUG "${CMAKE_CXX_FLAGS_DEBUG}")
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC 12's flow analysis reports false positives in instrumented code.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()

find_program(CHORUS_CCACHE ccache)
if(CHORUS_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CHORUS_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CHORUS_CCACHE})
endif()

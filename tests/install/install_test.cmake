# Installs the SDK from BUILD, builds the examples of SOURCE against it, in C++ and in C, runs them;
# the C ones once more by way of pkg-config and a C compiler alone.
set(folder ${BUILD}/tests/install/work)
file(REMOVE_RECURSE ${folder})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nended with ${code}:\n${out}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

# expect(CODE PATTERN program argument…): ends with CODE and says PATTERN.
function(expect expected pattern)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL expected OR NOT out MATCHES "${pattern}")
    message(FATAL_ERROR "${ARGN}\nended with ${code}: ${out}\nexpected ${expected}: ${pattern}")
  endif()
endfunction()

set(flags "")
if(FLAGS)
  set(flags "-fsanitize=${FLAGS}")
endif()
run(${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${folder}/prefix)
foreach(example minimal c)
  run(${CMAKE_COMMAND} -S ${SOURCE}/examples/${example} -B ${folder}/${example} -G ${GENERATOR}
      -DCMAKE_PREFIX_PATH=${folder}/prefix -DCMAKE_CXX_COMPILER=${COMPILER}
      -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_BUILD_TYPE=${CONFIG}
      "-DCMAKE_CXX_FLAGS=${flags} -Wall -Wextra -Werror"
      "-DCMAKE_C_FLAGS=${flags} -Wall -Wextra -Wpedantic -Wstrict-prototypes -Werror")
  run(${CMAKE_COMMAND} --build ${folder}/${example})
endforeach()

file(WRITE ${folder}/data.csv "1,2,0\n3,4,1\n")
expect(2 "usage: chorus-minimal" ${folder}/minimal/chorus-minimal)
expect(1 "not_found" ${folder}/minimal/chorus-minimal ${folder}/device ${folder}/data.csv)
foreach(program chorus-c-builtin chorus-c-logistic)
  expect(2 "usage: ${program}" ${folder}/c/${program})
  expect(1 "taking part: .*device" ${folder}/c/${program} ${folder}/device ${folder}/data.csv 1)
endforeach()

# A component that is not there is named.
file(WRITE ${folder}/wrong/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)
project(wrong LANGUAGES C)
find_package(chorus REQUIRED COMPONENTS core simulator)\n")
expect(1 "no component 'simulator'. there are: core, trainer" ${CMAKE_COMMAND} -S ${folder}/wrong
       -B ${folder}/wrong/build -DCMAKE_PREFIX_PATH=${folder}/prefix)

find_program(pkg_config pkg-config)
if(pkg_config AND NOT FLAGS)
  file(GLOB_RECURSE pc ${folder}/prefix/*/chorus.pc)
  get_filename_component(pc_folder "${pc}" DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${pc_folder})
  run(${pkg_config} --cflags --libs chorus-core)
  separate_arguments(arguments UNIX_COMMAND "${output}")
  run(${C_COMPILER} -std=c11 -o ${folder}/logistic ${SOURCE}/examples/c/logistic.c
      ${SOURCE}/examples/c/table.c ${arguments} -lm)
  run(${pkg_config} --variable=libdir chorus-core)
  string(STRIP "${output}" library_folder)
  set(ENV{LD_LIBRARY_PATH} ${library_folder})
  expect(2 "usage: chorus-c-logistic" ${folder}/logistic)
  run(${pkg_config} --cflags --libs chorus)
  separate_arguments(arguments UNIX_COMMAND "${output}")
  run(${C_COMPILER} -std=c11 -o ${folder}/builtin ${SOURCE}/examples/c/builtin.c ${arguments})
  expect(2 "usage: chorus-c-builtin" ${folder}/builtin)
endif()
file(REMOVE_RECURSE ${folder})

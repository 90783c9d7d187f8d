# Installs the SDK from BUILD, builds examples/minimal of SOURCE against it, runs it.
set(folder ${BUILD}/tests/install/work)
file(REMOVE_RECURSE ${folder})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nended with ${code}:\n${out}")
  endif()
endfunction()

set(flags "")
if(FLAGS)
  set(flags "-fsanitize=${FLAGS}")
endif()
run(${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${folder}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE}/examples/minimal -B ${folder}/build -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${folder}/prefix -DCMAKE_CXX_COMPILER=${COMPILER}
    -DCMAKE_BUILD_TYPE=${CONFIG} "-DCMAKE_CXX_FLAGS=${flags} -Wall -Wextra -Werror")
run(${CMAKE_COMMAND} --build ${folder}/build)

execute_process(COMMAND ${folder}/build/chorus-minimal RESULT_VARIABLE code OUTPUT_VARIABLE out)
if(NOT code EQUAL 2 OR NOT out MATCHES "usage: chorus-minimal")
  message(FATAL_ERROR "chorus-minimal without arguments ended with ${code}: ${out}")
endif()
file(WRITE ${folder}/data.csv "1,2,0\n3,4,1\n")
execute_process(COMMAND ${folder}/build/chorus-minimal ${folder}/device ${folder}/data.csv
                RESULT_VARIABLE code ERROR_VARIABLE err)
if(NOT code EQUAL 1 OR NOT err MATCHES "not_found")
  message(FATAL_ERROR "chorus-minimal without identity ended with ${code}: ${err}")
endif()
file(REMOVE_RECURSE ${folder})

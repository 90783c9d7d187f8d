# cmake -DNM=nm -P check_isa_objects.cmake -- a.o b.o …
# A source compiled for a newer instruction set may show the linker its table and nothing else: of a
# weak symbol (an inline function, a template) the linker keeps one copy for the whole program, and
# if it keeps this one, older CPUs execute instructions they do not have.
set(objects)
set(seen_separator FALSE)
foreach(index RANGE ${CMAKE_ARGC})
  set(argument "${CMAKE_ARGV${index}}")
  if(seen_separator AND argument)
    list(APPEND objects "${argument}")
  elseif(argument STREQUAL "--")
    set(seen_separator TRUE)
  endif()
endforeach()
if(NOT objects)
  message(FATAL_ERROR "no objects given")
endif()

foreach(object IN LISTS objects)
  execute_process(COMMAND "${NM}" --extern-only --defined-only "${object}"
                  OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "[^\n]+" lines "${output}")
  list(LENGTH lines count)
  set(table "^[0-9a-f]+ [DR] _ZN6chorus7kernels[0-9]+k[A-Za-z0-9]+TableE\n$")
  if(NOT count EQUAL 1 OR NOT output MATCHES "${table}")
    message(FATAL_ERROR "${object} must define its table and nothing else, but defines:\n${output}")
  endif()
  message(STATUS "${object}: only its table")
endforeach()

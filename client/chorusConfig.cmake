# find_package(chorus [COMPONENTS core trainer])
#
#   core     target chorus::core, libchorus-core: for a device that brings its own trainer
#   trainer  target chorus::client, libchorus: the same with the built-in trainer
#
# A program links one of the two. Without COMPONENTS every target that is installed is there.
foreach(chorus_part core client)
  include("${CMAKE_CURRENT_LIST_DIR}/chorus-${chorus_part}Targets.cmake" OPTIONAL)
endforeach()
unset(chorus_part)
if(TARGET chorus::core)
  set(chorus_core_FOUND TRUE)
endif()
if(TARGET chorus::client)
  set(chorus_trainer_FOUND TRUE)
endif()
foreach(chorus_component IN LISTS chorus_FIND_COMPONENTS)
  if(chorus_FIND_REQUIRED_${chorus_component} AND NOT chorus_${chorus_component}_FOUND)
    set(chorus_FOUND FALSE)
    set(chorus_NOT_FOUND_MESSAGE
        "this installation has no component '${chorus_component}'; there are: core, trainer")
  endif()
endforeach()
unset(chorus_component)

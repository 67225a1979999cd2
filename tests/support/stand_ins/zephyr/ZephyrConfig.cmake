# The little of Zephyr's CMake that a module and an application use, for this computer: libraries are linked whole.
project(stand_in_kernel C)

file(STRINGS "${CMAKE_CURRENT_SOURCE_DIR}/prj.conf" options REGEX "=y$")
foreach(option IN LISTS options)
  string(REGEX REPLACE "=y$" "" option "${option}")
  set(${option} y)
endforeach()

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC "")
  set_property(GLOBAL APPEND PROPERTY ZEPHYR_LIBS ${name})
  target_link_libraries(${name} PUBLIC zephyr_interface)
endmacro()

function(zephyr_library_sources source)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${source} ${ARGN})
endfunction()

function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGN})
endfunction()

add_library(zephyr_interface INTERFACE)
add_library(app STATIC "")
target_link_libraries(app PUBLIC zephyr_interface)

set(number 0)
foreach(module IN LISTS ZEPHYR_EXTRA_MODULES)
  math(EXPR number "${number} + 1")
  add_subdirectory("${module}/zephyr" "${CMAKE_BINARY_DIR}/modules/${number}")
endforeach()

file(WRITE "${CMAKE_BINARY_DIR}/kernel.c" "extern int kernel;\nint kernel;\n")
add_executable(zephyr_final "${CMAKE_BINARY_DIR}/kernel.c")
get_property(libraries GLOBAL PROPERTY ZEPHYR_LIBS)
target_link_libraries(zephyr_final PRIVATE -Wl,--whole-archive app ${libraries} -Wl,--no-whole-archive)
set_target_properties(zephyr_final PROPERTIES LINK_DEPENDS_NO_SHARED ON)

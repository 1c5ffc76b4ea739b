# pat_daemon(name sources...)     a daemon, linked with libcommon
# pat_test(name sources... LIBS)  a cmocka program registered with ctest under the label "unit";
#                                 ALLOC: it walks failing allocations (libcommon/test/alloc.h)
# pat_it(name sources...)         a cmocka program that needs servers: built beside the others, started by
#                                 tests/integration, which has them
# pat_embed(target name file)    the file's bytes in the target, as cmake/embed.cmake says
# pat_fuzz(name source LIBS)      a libFuzzer target over tests/fuzz/corpus/<name>; `fuzzers` is all of them

# -DPAT_BUILD_ID=... where the build has no .git (an image).
if(NOT PAT_BUILD_ID)
  execute_process(
    COMMAND git -C ${CMAKE_SOURCE_DIR} describe --always --dirty --abbrev=12
    OUTPUT_VARIABLE PAT_BUILD_ID
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT PAT_BUILD_ID)
  set(PAT_BUILD_ID "unknown")
endif()
configure_file(${CMAKE_SOURCE_DIR}/libcommon/version.h.in ${CMAKE_BINARY_DIR}/gen/version.h @ONLY)

add_custom_target(daemons) # every pat_daemon: what an image needs, without the tests
add_custom_target(fuzzers)

function(pat_daemon name)
  add_executable(${name} ${ARGN})
  add_dependencies(daemons ${name})
  target_link_libraries(${name} PRIVATE libcommon pat_strict)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

function(pat_test name)
  cmake_parse_arguments(arg "ALLOC" "" "LIBS" ${ARGN})
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE libcommon pat_strict PkgConfig::CMOCKA ${arg_LIBS})
  if(arg_ALLOC)
    target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/libcommon/test/alloc.c)
    target_link_libraries(${name} PRIVATE PkgConfig::CJSON)
    foreach(call malloc calloc realloc strdup strndup)
      target_link_options(${name} PRIVATE -Wl,--wrap=${call})
    endforeach()
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

function(pat_it name)
  add_executable(${name} ${ARGN} ${CMAKE_SOURCE_DIR}/libcommon/test/ctl.c)
  target_link_libraries(${name} PRIVATE libcommon pat_strict PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
endfunction()

function(pat_fuzz name source)
  if(NOT PAT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "LIBS" ${ARGN})
  add_executable(fuzz_${name} ${source})
  add_dependencies(fuzzers fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE libcommon ${arg_LIBS})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endfunction()

function(pat_embed target name file)
  set(out ${CMAKE_BINARY_DIR}/gen/${name}.c)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DNAME=${name} -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()

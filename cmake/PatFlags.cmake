# Compiler flags for our own code. Generated code asks for pat_relaxed() instead of pat_strict().

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
if(PAT_SANITIZE)
  add_compile_options(-fsanitize=${PAT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PAT_SANITIZE})
endif()
if(PAT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

add_library(pat_strict INTERFACE)
target_compile_options(
  pat_strict
  INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
            -Wconversion -Werror)

# cmake -DIN=file -DOUT=file.c -DNAME=symbol -P embed.cmake: the file as `const char symbol[]`, a NUL behind it, and
# `const size_t symbol_len` without that NUL.
file(READ "${IN}" hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR len "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
string(REGEX REPLACE "((........){16})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUT}" "#include <stddef.h>\n\nextern const char ${NAME}[];\nextern const size_t ${NAME}_len;\n"
                    "const char ${NAME}[] = {\n${bytes}0 };\nconst size_t ${NAME}_len = ${len};\n")

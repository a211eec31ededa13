# cmake -DINPUT=file -DOUTPUT=file.c -DNAME=symbol -P EmbedFile.cmake
# Writes a C source with `const unsigned char NAME[]` and `const unsigned long NAME_size`.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)"
       "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}"
     "extern const unsigned char ${NAME}[];\nextern const unsigned long ${NAME}_size;\n"
     "const unsigned char ${NAME}[] = {\n${bytes}\n};\n"
     "const unsigned long ${NAME}_size = sizeof(${NAME});\n")

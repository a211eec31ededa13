# Language, warnings, hardening and sanitizers for every target of ours.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # GNU: getrandom, accept4, RTLD_NEXT
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

option(FREEHOLD_WERROR "Warnings are errors" ON)
option(FREEHOLD_FUZZ "Build the libFuzzer targets (clang only)" OFF)
set(FREEHOLD_SANITIZE "" CACHE STRING "Value of -fsanitize=, or empty")

add_library(freehold_flags INTERFACE)
if(NOT CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    # Deliberate isolation faults (stores/store.h) exist in test builds only.
    target_compile_definitions(freehold_flags INTERFACE FREEHOLD_FAULTS)
endif()
target_compile_definitions(freehold_flags INTERFACE _GNU_SOURCE)
target_compile_options(freehold_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef
    -Wformat=2 -Wimplicit-fallthrough -Wcast-align -Wvla -fno-common)
if(FREEHOLD_WERROR)
    target_compile_options(freehold_flags INTERFACE -Werror)
endif()

if(FREEHOLD_SANITIZE)
    target_compile_options(freehold_flags INTERFACE
        -fsanitize=${FREEHOLD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
    target_link_options(freehold_flags INTERFACE -fsanitize=${FREEHOLD_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(freehold_flags INTERFACE
        -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fstack-clash-protection)
    target_link_options(freehold_flags INTERFACE -Wl,-z,relro,-z,now -pie)
endif()
if(FREEHOLD_FUZZ)
    # Coverage everywhere; the fuzzer's own main comes with the fuzz targets.
    target_compile_options(freehold_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

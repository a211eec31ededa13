# Packages of the system (see ./dev setup); each is linked only where its adapter is.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

# gRPC's pkg-config file lists every static dependency; the shared libraries are enough.
find_library(GRPC_LIBRARY grpc REQUIRED)
find_library(GPR_LIBRARY gpr REQUIRED)
add_library(freehold_grpc INTERFACE)
target_link_libraries(freehold_grpc INTERFACE ${GRPC_LIBRARY} ${GPR_LIBRARY})

find_library(PG_QUERY_LIBRARY pg_query REQUIRED)
add_library(freehold_pg_query INTERFACE)
target_link_libraries(freehold_pg_query INTERFACE ${PG_QUERY_LIBRARY})

find_program(PROTOC_C protoc-c REQUIRED)
find_program(PROTOC protoc REQUIRED)

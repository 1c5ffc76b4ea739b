# Every package we link, found once. Names below are the only ones a CMakeLists.txt uses.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(
  pair
  UV=libuv
  CURL=libcurl
  CJSON=libcjson
  PQ=libpq
  SSL=openssl
  LWS=libwebsockets
  NATS=libnats
  OPUS=opus
  OGG=ogg
  NICE=nice
  SRTP=libsrtp2
  USRSCTP=usrsctp
  PROTOBUF_C=libprotobuf-c
  SPEEXDSP=speexdsp
  ZLIB=zlib
  EXPAT=expat
  CMOCKA=cmocka)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${module})
endforeach()
find_program(PROTOC_C protoc-c REQUIRED)

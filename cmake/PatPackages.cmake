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
# The archive: the shared library would bring NSS into the process (services/livekit-agent/rtc/srtp_crypto.h).
find_library(SRTP_ARCHIVE libsrtp2.a REQUIRED)
add_library(SRTP::Archive STATIC IMPORTED)
set_target_properties(SRTP::Archive PROPERTIES IMPORTED_LOCATION ${SRTP_ARCHIVE})
find_program(PROTOC_C protoc-c REQUIRED)

# One image for the five daemons and the migration runner (target `runtime`), and one more with the provider doubles
# for the demo (target `demo`). The command says which program runs; its settings are PAT_* variables (--help).

FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages first: they change less often than the sources.
COPY scripts/env scripts/setup scripts/
COPY tests/requirements.txt tests/
RUN scripts/setup --build
COPY . .
ARG PAT_BUILD_ID=unknown
RUN cmake --preset release -DPAT_BUILD_ID="$PAT_BUILD_ID" \
 && cmake --build build/release --target daemons patchbay-doubles -j "$(nproc)" \
 && mkdir -p /out/daemons /out/doubles /out/lib \
 && install -s build/release/bin/* /out/daemons/ \
 && install -s build/release/lib/patchbay/* /out/lib/ \
 && cp -r build/release/share /out/share \
 && mv /out/daemons/patchbay-doubles /out/doubles/

# What the daemons stand on, and the migration runner (scripts/migrate, which is psql).
FROM debian:bookworm-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libcjson1 libcurl4 libnats3.4 libnice10 libogg0 \
      libopus0 libpq5 libprotobuf-c1 libspeexdsp1 libssl3 libusrsctp2 libuv1 \
      libwebsockets17 libwebsockets-evlib-uv postgresql-client-15 tzdata zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 patchbay \
 && useradd --no-log-init --uid 10001 --gid 10001 --create-home --home-dir /var/lib/patchbay \
      --shell /usr/sbin/nologin patchbay
COPY --chmod=755 scripts/migrate /usr/share/patchbay/scripts/migrate
COPY migrations /usr/share/patchbay/migrations
COPY --chmod=755 deploy/healthcheck /usr/local/bin/patchbay-healthcheck
USER 10001:10001
WORKDIR /var/lib/patchbay

FROM base AS runtime
COPY --from=build /out/daemons/ /usr/local/bin/
COPY --from=build /out/lib/ /usr/local/lib/patchbay/
COPY --from=build /out/share/ /usr/local/share/
# A library that is missing here shows when the image is made, not when a call comes in.
RUN for f in /usr/local/bin/patchbay*; do ldd "$f" 2>/dev/null; done >/tmp/libraries; ! grep 'not found' /tmp/libraries
ENV PAT_ADMIN_LISTEN=0.0.0.0:9100 PAT_LOG_FORMAT=json
HEALTHCHECK --interval=5s --timeout=4s --start-period=20s --retries=3 CMD ["patchbay-healthcheck"]

FROM runtime AS demo
USER 0
RUN apt-get update \
 && apt-get install -y --no-install-recommends curl libflite1 libmp3lame0 libpocketsphinx3 libsphinxbase3 pocketsphinx-en-us \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/doubles/ /usr/local/bin/
COPY --chmod=755 deploy/demo/seed /usr/share/patchbay/demo-seed
USER 10001:10001

# syntax=docker/dockerfile:1
# The project's images, one target each: docker build --target operator -t metallb/operator .
# The lab does not need this file: `make images` packs what cargo built, without a container engine.

FROM docker.io/library/rust:1.95-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
        -p metallb-operator -p metallb-controller -p metallb-speaker -p frr-agent \
    && mkdir /out \
    && cp target/release/metallb-operator target/release/metallb-controller \
        target/release/metallb-speaker target/release/frr-agent /out/

# glibc and libgcc, no shell, no package manager.
FROM gcr.io/distroless/cc-debian13 AS runtime

FROM runtime AS operator
COPY --from=build /out/metallb-operator /metallb-operator
USER 65532:65532
ENTRYPOINT ["/metallb-operator"]

FROM runtime AS controller
COPY --from=build /out/metallb-controller /metallb-controller
USER 65532:65532
ENTRYPOINT ["/metallb-controller"]

# Raw sockets for ARP and NDP: root with only the capabilities that the DaemonSet grants.
FROM runtime AS speaker
COPY --from=build /out/metallb-speaker /metallb-speaker
ENTRYPOINT ["/metallb-speaker"]

# Shares sockets and files with FRR, which starts as root.
FROM runtime AS frr-agent
COPY --from=build /out/frr-agent /frr-agent
ENTRYPOINT ["/frr-agent"]

FROM docker.io/library/debian:trixie-slim AS frr
RUN apt-get update \
    && apt-get install --yes --no-install-recommends frr frr-pythontools iproute2 \
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["/bin/sh"]

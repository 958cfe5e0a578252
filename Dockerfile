# All images of Docmill. `docker compose up --build` builds those of the three services, and `make image` that of the
# single-process edition:
#
#   docker run -p 127.0.0.1:8080:8080 docmill/docmill
#   docker run -p 127.0.0.1:8080:8080 --read-only --tmpfs /tmp -v docmill:/data docmill/docmill
#
# All stages use Debian 13, which has LibreOffice 25.2. The optional secret "ca" is a bundle of certificate authorities, for
# builds behind a proxy that inspects TLS; the compose file passes the one that SSL_CERT_FILE names.

FROM golang:1.26-trixie AS minio
RUN --mount=type=secret,id=ca \
    --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=bind,source=devstack/install/minio-version.txt,target=/minio-version.txt \
    [ ! -s /run/secrets/ca ] || export SSL_CERT_FILE=/run/secrets/ca; \
    CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags='-s -w' "github.com/minio/minio@$(cat /minio-version.txt)"

FROM golang:1.26-trixie AS build
WORKDIR /src
COPY . .
# The programs with a converter contain C code and are linked to the C library, so they must be built on the Debian release
# that they run on.
RUN --mount=type=secret,id=ca \
    --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    [ ! -s /run/secrets/ca ] || export SSL_CERT_FILE=/run/secrets/ca; \
    export GOFLAGS='-trimpath -ldflags=-s' \
 && CGO_ENABLED=0 go build -o /out/ ./services/gateway/cmd/docmill-gateway ./services/status/cmd/docmill-status \
 && CGO_ENABLED=1 go build -o /out/ ./services/converter/cmd/docmill-converter ./cmd/docmill

FROM debian:trixie-slim AS base
LABEL org.opencontainers.image.source="https://github.com/docmill/docmill" org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt/* /var/log/*.log \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin docmill
USER 10001:10001
# tini reaps orphaned processes of LibreOffice and forwards signals.
ENTRYPOINT ["tini", "--"]

FROM base AS store
USER 0
COPY --from=minio /out/minio /usr/local/bin/
RUN install -d -o docmill -g docmill /data
USER 10001:10001
VOLUME /data
CMD ["minio", "server", "/data", "--address", ":9000"]

# The gateway and the status service are static programs that start no others: their images have nothing else.
FROM scratch AS static
LABEL org.opencontainers.image.source="https://github.com/docmill/docmill" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=base /etc/passwd /etc/group /etc/
COPY --from=base /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
ENV PATH=/usr/local/bin
USER 10001:10001

FROM static AS gateway
LABEL org.opencontainers.image.title="Docmill gateway"
COPY --from=build /out/docmill-gateway /usr/local/bin/
CMD ["docmill-gateway"]

FROM static AS status
LABEL org.opencontainers.image.title="Docmill status service"
COPY --from=build /out/docmill-status /usr/local/bin/
CMD ["docmill-status"]

# LibreOffice and the other programs that a converter needs. Only the images also have the user-interface files of Writer, which
# Debian 12 does not package separately.
FROM base AS libreoffice
USER 0
RUN --mount=type=bind,source=devstack/install/converter-packages.txt,target=/packages.txt \
    apt-get update \
 && sed 's/#.*//' /packages.txt \
  | xargs apt-get install -y --no-install-recommends libreoffice-uiconfig-writer \
 && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/apt/* /var/log/*.log \
 && install -d -o docmill -g docmill -m 700 /work /data
USER 10001:10001

FROM libreoffice AS converter
LABEL org.opencontainers.image.title="Docmill converter"
VOLUME /work
COPY --from=build /out/docmill-converter /usr/local/bin/
CMD ["docmill-converter"]

# The single-process edition. Everything that must be kept is in /data.
FROM libreoffice AS docmill
LABEL org.opencontainers.image.title="Docmill"
VOLUME /data
ENV DOCMILL_DATA=/data DOCMILL_ADDRESS=0.0.0.0:8080 DOCMILL_ADMIN_ADDRESS=0.0.0.0:9090
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["docmill", "serve", "healthcheck"]
COPY --from=build /out/docmill /usr/local/bin/
CMD ["docmill", "serve"]

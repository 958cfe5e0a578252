# All images of Docmill: one build stage, one small stage an image. `docker compose up --build` builds them.
# Debian 13 throughout: its LibreOffice is 25.2.
#
# The secret "ca" is an optional bundle of certificate authorities, for builds behind a proxy that inspects TLS; the compose
# file passes the one that SSL_CERT_FILE names on the building machine.

FROM golang:1.26-trixie AS minio
# The last commit of the archived project: it has a security fix that the last published image lacks.
RUN --mount=type=secret,id=ca [ ! -s /run/secrets/ca ] || export SSL_CERT_FILE=/run/secrets/ca; \
    CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags='-s -w' github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

FROM golang:1.26-trixie AS build
WORKDIR /src
COPY go.work go.work.sum ./
COPY proto/go.mod proto/go.sum proto/
COPY contract/go.mod contract/go.sum contract/
COPY platform/go.mod platform/go.sum platform/
COPY devstack/go.mod devstack/go.sum devstack/
COPY services/gateway/go.mod services/gateway/go.sum services/gateway/
COPY services/converter/go.mod services/converter/go.sum services/converter/
COPY services/status/go.mod services/status/go.sum services/status/
RUN --mount=type=secret,id=ca [ ! -s /run/secrets/ca ] || export SSL_CERT_FILE=/run/secrets/ca; \
    go mod download
COPY proto proto
COPY contract contract
COPY platform platform
COPY services services
# The converter has C in it, and is linked to the C library: it must be built on the Debian that it runs on.
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/docmill-gateway ./services/gateway \
 && CGO_ENABLED=1 go build -trimpath -ldflags='-s -w' -o /out/docmill-converter ./services/converter \
 && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/docmill-status ./services/status/cmd/docmill-status

FROM debian:trixie-slim AS base
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin docmill
USER 10001:10001
# tini reaps what LibreOffice leaves behind, and passes signals on.
ENTRYPOINT ["tini", "--"]

FROM base AS store
USER 0
COPY --from=minio /out/minio /usr/local/bin/
RUN install -d -o docmill -g docmill /data
USER 10001:10001
VOLUME /data
CMD ["minio", "server", "/data", "--address", ":9000"]

FROM base AS gateway
COPY --from=build /out/docmill-gateway /usr/local/bin/
CMD ["docmill-gateway"]

FROM base AS status
COPY --from=build /out/docmill-status /usr/local/bin/
CMD ["docmill-status"]

FROM base AS converter
USER 0
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      libreoffice-calc-nogui libreoffice-impress-nogui libreoffice-math-nogui libreoffice-writer-nogui libreoffice-uiconfig-writer poppler-utils qpdf webp \
      fonts-crosextra-caladea fonts-crosextra-carlito fonts-dejavu fonts-liberation fonts-noto-cjk \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o docmill -g docmill -m 700 /work
USER 10001:10001
VOLUME /work
COPY --from=build /out/docmill-converter /usr/local/bin/
CMD ["docmill-converter"]

# The context is what hack/images puts together: the static binary and the CA bundle.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tektite controller" \
      org.opencontainers.image.description="Watches TaskRuns, makes one Pod for each, reports its status" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY tektite-controller /controller
USER 65532:0
ENTRYPOINT ["/controller"]

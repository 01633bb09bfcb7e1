# The whole root is mounted into steps at /tekton/bin, so nothing but the program lies in it.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tektite entrypoint" \
      org.opencontainers.image.description="The program in every step: order, results, and a log that explains" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY tektite-entrypoint /entrypoint
USER 65532:0
ENTRYPOINT ["/entrypoint"]

# The context is what hack/images puts together: the static binary.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Tektite webhook" \
      org.opencontainers.image.description="Defaults TaskRuns, Tasks and StepActions and refuses bad ones" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY tektite-webhook /webhook
USER 65532:0
ENTRYPOINT ["/webhook"]

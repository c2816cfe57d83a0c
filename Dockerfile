# For those who have a container engine. npm run image makes the same image without one. For every architecture that there
# is a release for, each with its own executable:
#   npm run release && docker buildx build --platform linux/amd64,linux/arm64 --tag localhost/slash32:0.1.0 .
# For this machine's alone:
#   npm run build && docker build --build-arg EXECUTABLE=bin/slash32 --tag localhost/slash32:0.1.0 .
FROM scratch
LABEL org.opencontainers.image.title="slash32" \
      org.opencontainers.image.description="A CNI plugin that gives every pod one /32 address, a veth and a route" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whoever builds for a platform says which one it is.
ARG TARGETARCH
ARG EXECUTABLE=release/slash32-linux-${TARGETARCH}
COPY ${EXECUTABLE} /slash32
ENTRYPOINT ["/slash32"]

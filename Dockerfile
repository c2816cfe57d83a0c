# For those who have a container engine. npm run image makes the same image without one; the build comes first:
#   npm run build && docker build --tag localhost/slash32:0.1.0 .
FROM scratch
LABEL org.opencontainers.image.title="slash32" \
      org.opencontainers.image.description="A CNI plugin that gives every pod one /32 address, a veth and a route" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY bin/slash32 /slash32
ENTRYPOINT ["/slash32"]

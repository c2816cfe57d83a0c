#!/bin/sh
# build-kubernetes.sh DIRECTORY: makes the executables of Kubernetes 1.20.2 for its lane, once: about ten minutes and
# 3 GB of disk while it runs, 430 MB after. Debian has the source with all that it needs, and builds only kubectl of it.
# What the lane takes besides, etcd and a busybox for its pods, is taken out of Debian's packages. Prints nothing if all
# is well and nothing is to be done. DIRECTORY/version tells what it was made from.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

directory=$1
commands='kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl'

mkdir -p "$directory"
# Two runs at the same time build once.
exec 9>"$directory/lock"
flock 9
[ ! -f "$directory/version" ] || exit 0

work=$(mktemp -d "$(realpath "$directory")/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

module=k8s.io/kubernetes
tree=$work/go/src/$module

# Runs a long command silently, and shows what it printed only if it fails: quietly WHAT COMMAND...
quietly() {
  what=$1
  shift
  if ! printed=$("$@" 2>&1 </dev/null); then
    printf '%s\nCannot %s: see above\n' "$printed" "$what" >&2
    exit 1
  fi
}

# The files of a package, without installing it, and its version: unpack PACKAGE
unpack() {
  cd "$work" || return
  apt-get -q -o APT::Sandbox::User=root download "$1" || return
  dpkg-deb --extract "$1"_*.deb "$work/$1" || return
  dpkg-deb --field "$1"_*.deb Version >"$work/$1.version"
}

echo "Building Kubernetes from Debian's source: about ten minutes, once" >&2
for package in etcd-server busybox-static; do quietly "fetch Debian's $package" unpack "$package"; done
sh scripts/debian-source.sh bookworm kubernetes "$tree"

in_tree() {
  (cd "$tree" && nice -n 15 env GOENV=off GO111MODULE=off GOFLAGS= GOPATH="$work/go" GOCACHE="$work/go-build" \
    CGO_ENABLED=0 "$@")
}

# The one generated file that the package lacks describes the API, of all that asks for it.
generate_openapi() {
  inputs=$(cd "$tree" && grep -rl --include='*.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io |
    grep -vE 'k8s.io/(code-generator|sample-apiserver)/' | xargs -n 1 dirname | sort -u |
    sed "s,^staging/src,vendor,; s,^,$module/," | paste -s -d ,)
  in_tree go run "$module/vendor/k8s.io/kube-openapi/cmd/openapi-gen" --input-dirs "$inputs" \
    --output-package "$module/pkg/generated/openapi" --output-file-base zz_generated.openapi \
    --go-header-file hack/boilerplate/boilerplate.generatego.txt --report-filename "$work/violations"
}

build() {
  stamps=
  for package in client-go/pkg/version component-base/version; do
    stamps="$stamps -X $module/vendor/k8s.io/$package.gitVersion=v1.20.2"
    stamps="$stamps -X $module/vendor/k8s.io/$package.gitMajor=1 -X $module/vendor/k8s.io/$package.gitMinor=20"
  done
  for command in $commands; do
    in_tree go build -trimpath -ldflags "-s -w$stamps" -o "$work/bin/$command" "$module/cmd/$command" || return
  done
}

quietly "generate the description of Kubernetes' API" generate_openapi
quietly "build Kubernetes" build

mv "$work"/bin/* "$work/etcd-server/usr/bin/etcd" "$work/busybox-static/bin/busybox" "$directory/"
printf 'kubernetes %s built with %s, etcd %s, busybox %s\n' "$(sed 's/.*_//' "$tree.version")" \
  "$(go version | cut -d ' ' -f 3)" "$(cat "$work/etcd-server.version")" "$(cat "$work/busybox-static.version")" \
  >"$directory/version"

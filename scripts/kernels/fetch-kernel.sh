#!/bin/sh
# fetch-kernel.sh RELEASE DIRECTORY: puts the kernel of a release of Debian into a directory, once: `vmlinuz`, its
# modules as modprobe(8) wants them below `lib/modules`, and a `busybox` that runs without any library. They are
# fetched with a list of sources of their own, so that the machine's stays as it is, and nothing is installed. Prints
# nothing if nothing is to be done. The directory is there when it is complete; remove it to fetch a newer kernel.
set -eu
PATH=$PATH:/usr/sbin:/sbin

release=$1
directory=$2
[ ! -d "$directory" ] || exit 0

mkdir -p "$(dirname "$directory")"
work=$(mktemp -d "$(realpath "$(dirname "$directory")")/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Runs a long command silently, and shows what it printed only if it fails: quietly WHAT COMMAND...
quietly() {
  what=$1
  shift
  if ! printed=$("$@" 2>&1 </dev/null); then
    printf '%s\nCannot %s: see above\n' "$printed" "$what" >&2
    exit 1
  fi
}

# Where the machine has its Debian from: site ARCHIVE DEFAULT.
site() {
  from=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' "Label: $1" | head -n 1)
  echo "${from:-$2}"
}

mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/packages" "$work/kernel"
cat >"$work/sources/debian.sources" <<END
Types: deb
URIs: $(site Debian http://deb.debian.org/debian)
Suites: $release
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $(site Debian-Security http://deb.debian.org/debian-security)
Suites: $release-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END

apt() {
  command=$1
  shift
  "$command" -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}

echo "Fetching the kernel of Debian $release" >&2
quietly "update the list of Debian packages" apt apt-get update
image=$(apt apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
[ -n "$image" ] || { echo "Cannot find the kernel of Debian $release: linux-image-amd64 names none" >&2; exit 1; }
(cd "$work/packages" && quietly "fetch $image" apt apt-get download "$image" busybox-static)
for package in "$work/packages"/*.deb; do
  quietly "unpack $package" dpkg-deb --extract "$package" "$work/unpacked"
done

# Older releases have them in /lib and /bin, newer ones in /usr.
mkdir "$work/kernel/lib"
mv "$work"/unpacked/boot/vmlinuz-* "$work/kernel/vmlinuz"
for modules in "$work"/unpacked/lib/modules "$work"/unpacked/usr/lib/modules; do
  [ ! -d "$modules" ] || mv "$modules" "$work/kernel/lib/modules"
done
for busybox in "$work"/unpacked/bin/busybox "$work"/unpacked/usr/bin/busybox; do
  [ ! -f "$busybox" ] || mv "$busybox" "$work/kernel/busybox"
done
quietly "list the modules of $image" depmod --basedir "$work/kernel" "${image#linux-image-}"
mv "$work/kernel" "$directory"

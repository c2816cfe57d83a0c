# debian.sh: for scripts that take from Debian what is not to be installed. To be sourced, with `set -eu`.
# All is fetched with a list of sources of its own, so that the machine's stays as it is.

# Runs a long command silently, and shows what it printed only if it fails: quietly WHAT COMMAND...
quietly() {
  what=$1
  shift
  if ! printed=$("$@" 2>&1 </dev/null); then
    printf '%s\nCannot %s: see above\n' "$printed" "$what" >&2
    exit 1
  fi
}

# Where the machine has its Debian from.
debian_mirror() {
  mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' 'Codename: bookworm' \
    'Component: main' | head -n 1)
  echo "${mirror:-http://deb.debian.org/debian}"
}

# Unpacks bookworm's source package as DIRECTORY/TREE, and prints its version. All that it takes besides is in
# DIRECTORY/apt: fetch_source PACKAGE DIRECTORY TREE
fetch_source() {
  prepare_apt "$2"
  mkdir -p "$(dirname "$2/$3")"
  (cd "$2/apt" && quietly "fetch $1's source" apt_aside "$2/apt" source --download-only "$1")
  # apt has compared the sums already.
  quietly "unpack $1's source" dpkg-source --no-check -x "$2/apt/$1"_*.dsc "$2/$3"
  version=$(basename "$2/apt/$1"_*.dsc .dsc)
  echo "${version#*_}"
}

# The same with the files of a package: fetch_package PACKAGE DIRECTORY TREE
fetch_package() {
  prepare_apt "$2"
  (cd "$2/apt" && quietly "fetch $1" apt_aside "$2/apt" download "$1")
  quietly "unpack $1" dpkg-deb --extract "$2/apt/$1"_*.deb "$2/$3"
  dpkg-deb --field "$2/apt/$1"_*.deb Version
}

prepare_apt() {
  [ ! -d "$1/apt" ] || return 0
  mkdir -p "$1/apt/sources" "$1/apt/lists/partial" "$1/apt/cache/archives/partial"
  cat >"$1/apt/sources/bookworm.sources" <<END
Types: deb deb-src
URIs: $(debian_mirror)
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  quietly "update the list of Debian packages" apt_aside "$1/apt" update
}

# apt_aside DIRECTORY ARGUMENT...
apt_aside() {
  directory=$1
  shift
  apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$directory/sources" \
    -o Dir::State::Lists="$directory/lists" -o Dir::Cache="$directory/cache" -o APT::Sandbox::User=root "$@"
}

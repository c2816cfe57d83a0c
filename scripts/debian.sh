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

# And that release's security updates.
security_mirror() {
  mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Label: Debian-Security' \
    'Component: main' | head -n 1)
  echo "${mirror:-http://deb.debian.org/debian-security}"
}

# Unpacks a source package as DIRECTORY/TREE, and prints its version. It is bookworm's, or another release's, to which
# the directory is bound then. All that it takes besides is in DIRECTORY/apt: fetch_source PACKAGE DIRECTORY TREE [RELEASE]
fetch_source() {
  prepare_apt "$2" "${4:-bookworm}"
  mkdir -p "$(dirname "$2/$3")"
  (cd "$2/apt" && quietly "fetch $1's source" apt_aside "$2/apt" source --download-only "$1")
  # apt has compared the sums already.
  quietly "unpack $1's source" dpkg-source --no-check -x "$2/apt/$1"_*.dsc "$2/$3"
  version=$(basename "$2/apt/$1"_*.dsc .dsc)
  echo "${version#*_}"
}

# The same with the files of a package: fetch_package PACKAGE DIRECTORY TREE [RELEASE]
# Another architecture's, with security updates, if the directory was prepared for that.
fetch_package() {
  prepare_apt "$2" "${4:-bookworm}"
  (cd "$2/apt" && quietly "fetch $1" apt_aside "$2/apt" download "$1")
  quietly "unpack $1" dpkg-deb --extract "$2/apt/$1"_*.deb "$2/$3"
  dpkg-deb --field "$2/apt/$1"_*.deb Version
}

# prepare_apt DIRECTORY RELEASE
prepare_apt() {
  [ -d "$1/apt" ] || start_apt "$1" "$2" "$(apt_source "$2" "$(debian_mirror)")" ""
}

# prepare_apt_for DIRECTORY RELEASE ARCHITECTURE: the same for packages that run on others' machines.
prepare_apt_for() {
  start_apt "$1" "$2" "$(
    apt_source "$2" "$(debian_mirror)"
    echo
    apt_source "$2-security" "$(security_mirror)"
  )" "APT::Architecture \"$3\"; APT::Architectures \"$3\";"
}

# apt_source SUITE MIRROR
apt_source() {
  cat <<END
Types: deb deb-src
URIs: $2
Suites: $1
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
}

# start_apt DIRECTORY RELEASE SOURCES SETTINGS
start_apt() {
  mkdir -p "$1/apt/sources" "$1/apt/lists/partial" "$1/apt/cache/archives/partial"
  echo "$3" >"$1/apt/sources/$2.sources"
  echo "$4" >"$1/apt/settings"
  quietly "update the list of Debian packages" apt_aside "$1/apt" update
}

# apt_aside DIRECTORY ARGUMENT...
apt_aside() {
  directory=$1
  shift
  apt-get -q -c "$directory/settings" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$directory/sources" \
    -o Dir::State::Lists="$directory/lists" -o Dir::Cache="$directory/cache" -o APT::Sandbox::User=root "$@"
}

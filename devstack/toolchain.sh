#!/usr/bin/env bash
# Makes sure that Go and a C compiler (for LibreOffice's zygote and the race detector) are installed; devstack, written
# in Go, installs the rest. On Debian, with the permission, it installs them; otherwise it prints what to install.
set -euo pipefail

need=1.26.0 # keep in step with go.work
own=${XDG_CACHE_HOME:-$HOME/.cache}/docmill/go # the Makefile puts its bin first in PATH

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v go >/dev/null || missing+=(golang-go)
[ -n "${SSL_CERT_FILE:-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates) # to fetch modules
if [ "$(id -u)" = 0 ]; then as_root=(); may=yes; elif sudo -n true 2>/dev/null; then as_root=(sudo); may=yes; else may=; fi
command -v apt-get >/dev/null || may=

if [ ${#missing[@]} -gt 0 ]; then
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  [ "$may" ] || { echo "Docmill needs ${missing[*]}. On Debian, install them with: sudo ${install[*]}" >&2; exit 1; }
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" "${install[@]}" >/dev/null
fi

# LibreOffice is installed while Go compiles. devstack takes the same lock, waits for it, and finds LibreOffice installed.
here=$(dirname "$0")/install
if [ "${STACK:-}" = embedded ] && [ "$may" ] && ! command -v soffice >/dev/null; then
  echo "installing LibreOffice in the background" >&2
  mkdir -p "${own%/*}"
  # shellcheck disable=SC2046 # a list of words
  setsid flock "${own%/*}/install.lock" "${as_root[@]}" sh "$here/debian.sh" $(sed 's/#.*//' "$here/converter-packages.txt") \
    >"${own%/*}/install.log" 2>&1 </dev/null &
fi

# Go 1.21 and later downloads the version that go.work requires. Debian 12 has Go 1.19, with which this script downloads
# the same module; Go verifies it against its checksum database.
version=$(go env GOVERSION)
minor=${version#go1.}
[ "${minor%%.*}" -lt 21 ] || exit 0
echo "fetching Go $need: $version is too old" >&2
fetched=$(cd / && go mod download -json "golang.org/toolchain@v0.0.1-go$need.linux-$(go env GOARCH)" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
[ -d "$fetched" ] || { echo "Go $need could not be fetched; install Go $need or later." >&2; exit 1; }
rm -rf "$own.new" "$own"
mkdir -p "${own%/*}"
cp -r "$fetched" "$own.new"
chmod -R u+w "$own.new"
chmod +x "$own.new"/bin/* "$own.new"/pkg/tool/*/*
mv "$own.new" "$own"
"$own/bin/go" version >&2

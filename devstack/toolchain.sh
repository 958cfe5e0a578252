#!/usr/bin/env bash
# Makes sure that Go and a C compiler (for the race detector) are installed; devstack, written in Go, installs the rest.
# Installs them on Debian if it has the permission, and prints what to install otherwise.
set -euo pipefail

need=1.26 # keep in step with go.work

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
if command -v go >/dev/null; then
  # With GOTOOLCHAIN=auto, Go 1.21 and later downloads the version that go.work requires.
  go version >/dev/null || { echo "go version failed; install Go $need or later." >&2; exit 1; }
else
  missing+=(golang-go)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo); else
  echo "Docmill needs ${missing[*]}. To install them, run: sudo ${install[*]}" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "Docmill needs ${missing[*]}; install them with the package manager of this system." >&2; exit 1; }
echo "installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" "${install[@]}" >/dev/null
if ! go version >/dev/null 2>&1; then
  echo "The Go of this Debian release is too old to download Go $need; install Go $need or later from the Go website." >&2
  exit 1
fi

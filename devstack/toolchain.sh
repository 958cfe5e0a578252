#!/usr/bin/env bash
# Makes sure that Go and a C compiler (for the race detector) are there: all that is needed before Docmill's own Go code
# can install the rest. Installs them on Debian when it may, and otherwise says what to install.
set -euo pipefail

need=1.26 # keep in step with go.work

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
if command -v go >/dev/null; then
  # With GOTOOLCHAIN=auto, a Go from 1.21 on fetches the version that go.work asks for by itself.
  go version >/dev/null || { echo "Go does not start; install Go $need or later." >&2; exit 1; }
else
  missing+=(golang-go)
fi
[ ${#missing[@]} -gt 0 ] || exit 0

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if [ "$(id -u)" = 0 ]; then as_root=(); elif sudo -n true 2>/dev/null; then as_root=(sudo); else
  echo "Docmill needs ${missing[*]}. Install them with: sudo ${install[*]}" >&2
  exit 1
fi
command -v apt-get >/dev/null || { echo "Docmill needs ${missing[*]}; install them with this system's package manager." >&2; exit 1; }
echo "installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" "${install[@]}" >/dev/null
if ! go version >/dev/null 2>&1; then
  echo "This Debian's Go is too old to fetch Go $need by itself; install Go $need or later from its own site." >&2
  exit 1
fi

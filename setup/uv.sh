#!/usr/bin/env bash
# Prints the path of uv: the one on PATH, or one that it installs outside the checkout.
# `uv.sh --found` installs nothing: it fails if uv is missing.
set -euo pipefail
source setup/versions.sh

# The version to install, and the oldest one that has all options used here.
INSTALLED=0.13.9
OLDEST=0.8.0

own="$CACHE/uv-$INSTALLED/bin/uv"

on_path() {
    local version
    version=$(uv --version 2>/dev/null | cut -d' ' -f2) || return 1
    [[ -n $version && $(printf '%s\n' "$OLDEST" "$version" | sort -V | head -1) == "$OLDEST" ]]
}

if on_path; then
    command -v uv
elif [[ -x $own ]]; then
    echo "$own"
elif [[ ${1:-} == --found ]]; then
    exit 1
else
    say "installing uv $INSTALLED, a few seconds"
    mkdir -p "$CACHE"
    scratch=$(mktemp -d "$CACHE/.uv-XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check "uv==$INSTALLED" >&2
    # keep the program only, once it is complete
    mkdir -p "$scratch/uv/bin"
    mv "$scratch/venv/bin/uv" "$scratch/uv/bin/uv"
    mv -T "$scratch/uv" "$CACHE/uv-$INSTALLED" 2>/dev/null || [[ -x $own ]]
    echo "$own"
fi

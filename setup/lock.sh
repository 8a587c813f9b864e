#!/usr/bin/env bash
# Updates requirements.lock from conda.yaml and the development tools of pyproject.toml, for Python 3.11
# and 3.12. requirements-gpu.lock is what TensorFlow with CUDA needs besides.
# Locked versions stay if possible; delete the lock first to update all of them.
set -euo pipefail
source setup/versions.sh
export LC_ALL=C # one order on all machines

uv=$(setup/uv.sh)
scratch=$(mktemp -d requirements.lock.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# resolve NAME OPTION…: resolves standard input for each Python and writes one list. What only one
# Python needs is marked. For Linux; without the header, which would name this machine's paths.
resolve() {
    local python requirements new=$scratch/$1
    requirements=$(cat)
    [[ ! -f $1 ]] || cp "$1" "$new.3.11"
    for python in 3.11 3.12; do
        "$uv" pip compile --quiet --no-header --no-annotate --python-platform linux \
            --python-version $python --output-file "$new.$python" "${@:2}" - <<<"$requirements" >/dev/null
        sort -o "$new.$python" "$new.$python"
        [[ -f $new.3.12 ]] || cp "$new.3.11" "$new.3.12"
    done
    {
        comm -12 "$new.3.11" "$new.3.12"
        comm -23 "$new.3.11" "$new.3.12" | sed "s/$/ ; python_version < '3.12'/"
        comm -13 "$new.3.11" "$new.3.12" | sed "s/$/ ; python_version >= '3.12'/"
    } | sort >"$new"
}

# take NAME: puts standard input in the place of a lock, at once
take() {
    { echo "# Made by \`make lock\` from conda.yaml and pyproject.toml. Not to be edited." && cat; } >"$scratch/new"
    chmod 644 "$scratch/new"
    mv "$scratch/new" "$1"
}

pins | resolve requirements.lock --group pyproject.toml:dev
pins | sed 's/^tensorflow-cpu==/tensorflow[and-cuda]==/' |
    resolve requirements-gpu.lock --constraints "$scratch/requirements.lock"
take requirements.lock <"$scratch/requirements.lock"
grep -vxFf requirements.lock "$scratch/requirements-gpu.lock" | take requirements-gpu.lock

#!/usr/bin/env bash
# Updates requirements.lock from conda.yaml and the development tools of pyproject.toml.
# Locked versions stay if possible; delete the lock first to update all of them.
set -euo pipefail
source setup/versions.sh

uv=$(setup/uv.sh)
new=$(mktemp requirements.lock.XXXXXX)
trap 'rm -f "$new" "$new.complete"' EXIT
[[ ! -f requirements.lock ]] || cp requirements.lock "$new"

# for Linux on any machine; without the header, which would name this machine's paths
pins | "$uv" pip compile --quiet --no-header --no-annotate --python-version "$PYTHON" \
    --python-platform linux --group pyproject.toml:dev --output-file "$new" - >/dev/null

{
    echo "# Made by \`make lock\` from conda.yaml and pyproject.toml. Not to be edited."
    cat "$new"
} >"$new.complete"
chmod 644 "$new.complete"
mv "$new.complete" requirements.lock

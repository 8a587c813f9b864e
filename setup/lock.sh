#!/usr/bin/env bash
# Remakes requirements.lock from conda.yaml and the development tools of pyproject.toml.
# What is locked stays as it is where it can; delete the lock first to move everything.
set -euo pipefail
source setup/versions.sh

uv=$(setup/uv.sh)
new=$(mktemp requirements.lock.XXXXXX)
trap 'rm -f "$new" "$new.whole"' EXIT
[[ ! -f requirements.lock ]] || cp requirements.lock "$new"

# For Linux, wherever it is made. Without its header, which would name this machine's paths.
pins | "$uv" pip compile --quiet --no-header --no-annotate --python-version "$PYTHON" \
    --python-platform linux --group pyproject.toml:dev --output-file "$new" - >/dev/null

{
    echo "# Made by \`make lock\` from conda.yaml and pyproject.toml. Not to be edited."
    cat "$new"
} >"$new.whole"
chmod 644 "$new.whole"
mv "$new.whole" requirements.lock

#!/usr/bin/env bash
# Installs what the servers of a cluster on this machine need: PostgreSQL, and .venv-cluster with
# MLflow's server and an S3-compatible store. Does nothing if they are present.
set -euo pipefail
source setup/versions.sh

list=tests/cluster/requirements.txt

if ! compgen -G "/usr/lib/postgresql/*/bin/postgres" >/dev/null; then
    as_root=()
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || stop "missing: run \`sudo apt-get update && sudo apt-get install -y --no-install-recommends postgresql\`"
        as_root=(sudo -n)
    fi
    say "installing PostgreSQL"
    "${as_root[@]}" apt-get update -qq </dev/null >/dev/null
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends postgresql </dev/null >/dev/null
fi

if [[ ! -f .venv-cluster/made-from || .venv-cluster/made-from -ot $list ||
    .venv-cluster/made-from -ot requirements.lock ]]; then
    uv=$(setup/uv.sh)
    say ".venv-cluster: installing the servers of a cluster, about a minute"
    new_environment "$uv" .venv-cluster
    "$uv" pip install --quiet --compile-bytecode --python .venv-cluster --requirements $list
    touch .venv-cluster/made-from
fi

#!/usr/bin/env bash
# Installs requirements.lock into .venv, and edge/requirements.txt into .venv-edge.
# Does nothing if they are up to date.
set -euo pipefail
source setup/versions.sh

# A finished environment holds a note of its sources. The note is written last and removed before
# the first change: an environment without it was interrupted and is built again.
NOTE=made-from

made_from() { echo "Python $PYTHON in $PWD" && sha256sum "$1"; }

is_finished() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(<"$1/$NOTE") == "$(made_from "$2")" ]]
}

# Whether it was finished once for this Python and this folder, so that only packages change.
is_adaptable() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(head -1 "$1/$NOTE") == "$(made_from "$2" | head -1)" ]]
}

# Installs with bytecode. In containers that set PYTHONDONTWRITEBYTECODE, every process would compile
# its imports otherwise, which takes six seconds with TensorFlow.
fill() { "$uv" pip "$1" --quiet --compile-bytecode --python "${@:2}"; }

finish() { made_from "$2" >"$1/$NOTE"; }

if ! is_finished .venv requirements.lock; then
    uv=$(setup/uv.sh)
    setup/horovod.sh
    say ".venv: installing $(grep -c == requirements.lock) packages, about a minute"
    if is_adaptable .venv requirements.lock; then
        rm .venv/$NOTE
    else
        "$uv" venv --quiet --clear --python "$PYTHON" .venv
    fi
    fill sync .venv --find-links "$WHEELS" --only-binary horovod requirements.lock
    finish .venv requirements.lock
fi

if ! is_finished .venv-edge edge/requirements.txt; then
    uv=$(setup/uv.sh)
    say ".venv-edge: installing the packages of the device, a few seconds"
    # the list names direct dependencies only, as on a device: always install from scratch
    "$uv" venv --quiet --clear --python "$PYTHON" .venv-edge
    fill install .venv-edge --requirements edge/requirements.txt
    finish .venv-edge edge/requirements.txt
fi

#!/usr/bin/env bash
# Makes .venv what requirements.lock says, and .venv-edge what edge/requirements.txt says.
# Does nothing where they are already.
set -euo pipefail
source setup/versions.sh

# A finished environment holds a note of what it was made from. It is written last, and taken away
# before the first change: without it an environment counts as interrupted and is made again.
NOTE=made-from

made_from() { echo "Python $PYTHON in $PWD" && sha256sum "$1"; }

is_finished() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(<"$1/$NOTE") == "$(made_from "$2")" ]]
}

# Finished once, for this Python and this folder: only the packages have to change.
is_adaptable() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(head -1 "$1/$NOTE") == "$(made_from "$2" | head -1)" ]]
}

# With bytecode: where Python may write none, as PYTHONDONTWRITEBYTECODE tells it in many containers,
# every process would compile all that it imports, with TensorFlow for six seconds.
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
    say ".venv-edge: installing what the device needs, a few seconds"
    # The list names only the direct dependencies, as a device installs it: always from nothing.
    "$uv" venv --quiet --clear --python "$PYTHON" .venv-edge
    fill install .venv-edge --requirements edge/requirements.txt
    finish .venv-edge edge/requirements.txt
fi

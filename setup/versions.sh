# shellcheck shell=bash
# Versions and functions that the scripts of this folder share; sourced from the project's folder.

# Not XDG_CACHE_HOME: conda.yaml names the folder of the Horovod wheel too, where pip expands
# ${HOME}, but has no default for an unset variable.
CACHE="$HOME/.cache/lakehouse-vision"

# Prints the direct dependencies that conda.yaml pins, or the version of one.
pins() { sed -n 's/^ *- \([a-z0-9-]*==.*\)$/\1/p' conda.yaml; }
pin() { pins | sed -n "s/^$1==//p"; }

PYTHON=$(sed -n 's/^ *- python=\([0-9]*\.[0-9]*\).*/\1/p' conda.yaml)
HOROVOD=$(pin horovod)
TENSORFLOW=$(pin tensorflow-cpu)
WHEELS="$CACHE/wheels/tensorflow-cpu-$TENSORFLOW"

# Prints the compiled Horovod for this Python, TensorFlow and processor, if it exists.
horovod_wheel() {
    compgen -G "$WHEELS/horovod-$HOROVOD-cp${PYTHON/./}-*$(uname -m).whl"
}

say() { printf 'setup: %s\n' "$*" >&2; }

stop() {
    say "$@"
    exit 1
}

# shellcheck shell=bash
# What the scripts of this folder go by. Sourced from the top folder of the project.

# Not XDG_CACHE_HOME: conda.yaml names the folder of the Horovod wheel too, and pip knows
# ${HOME} there, but no default for a variable that is not set.
CACHE="$HOME/.cache/lakehouse-vision"

# The direct dependencies, as conda.yaml pins them: all of them, or the version of one.
pins() { sed -n 's/^ *- \([a-z0-9-]*==.*\)$/\1/p' conda.yaml; }
pin() { pins | sed -n "s/^$1==//p"; }

PYTHON=$(sed -n 's/^ *- python=\([0-9]*\.[0-9]*\).*/\1/p' conda.yaml)
HOROVOD=$(pin horovod)
TENSORFLOW=$(pin tensorflow-cpu)
WHEELS="$CACHE/wheels/tensorflow-cpu-$TENSORFLOW"

# The compiled Horovod for this Python, TensorFlow and processor, or nothing.
horovod_wheel() {
    compgen -G "$WHEELS/horovod-$HOROVOD-cp${PYTHON/./}-*$(uname -m).whl"
}

say() { printf 'setup: %s\n' "$*" >&2; }

stop() {
    say "$@"
    exit 1
}

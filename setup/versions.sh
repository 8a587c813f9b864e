# shellcheck shell=bash
# Versions and functions that the scripts of this folder share; sourced from the project's folder.

# Not XDG_CACHE_HOME: conda.yaml names the folder of the Horovod wheel too, where pip expands
# ${HOME}, but has no default for an unset variable.
CACHE="$HOME/.cache/lakehouse-vision"

# Prints the direct dependencies that conda.yaml pins, or the version of one.
pins() { sed -n 's/^ *- \([a-z0-9-]*==.*\)$/\1/p' conda.yaml; }
pin() { pins | sed -n "s/^$1==//p"; }

# Prints the Python to use, 3.11 or 3.12: what UV_PYTHON says, or else that of .venv, or the one on PATH,
# or the one of conda.yaml, which uv fetches.
python_version() {
    local python version
    if [[ ${UV_PYTHON:-} =~ ^(3\.1[12])(\.[0-9]+)?$ ]]; then
        echo "${BASH_REMATCH[1]}"
        return
    fi
    for python in .venv/bin/python python3 python3.11 python3.12; do
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if [[ $version =~ ^3\.1[12]$ ]]; then
            echo "$version"
            return
        fi
    done
    sed -n 's/^ *- python=\([0-9]*\.[0-9]*\).*/\1/p' conda.yaml
}

PYTHON=$(python_version)
HOROVOD=$(pin horovod)

TENSORFLOW=$(pin tensorflow-cpu)
WHEELS="$CACHE/wheels/tensorflow-cpu-$TENSORFLOW"

# An environment holds a note of its sources: what it is made from or, until it is finished, is to be.
NOTE=made-from UNFINISHED=unfinished

# GPU=1 takes TensorFlow with CUDA, GPU=0 the one without; else .venv stays what it is.
note() { cat .venv/$UNFINISHED || cat .venv/$NOTE; }
: "${GPU:=$(note 2>/dev/null | grep -c requirements-gpu.lock)}"
LOCKS=(requirements.lock)
[[ $GPU != 1 ]] || LOCKS+=(requirements-gpu.lock)

# Prints the compiled Horovod for this Python, TensorFlow and processor, if it exists.
horovod_wheel() {
    compgen -G "$WHEELS/horovod-$HOROVOD-cp${PYTHON/./}-*$(uname -m).whl"
}

# Prints the locked packages of .venv.
locked() {
    if [[ $GPU == 1 ]]; then
        grep -v ^tensorflow-cpu== requirements.lock
        cat requirements-gpu.lock
    else
        cat requirements.lock
    fi
}

say() { printf 'setup: %s\n' "$*" >&2; }

stop() {
    say "$@"
    exit 1
}

# new_environment UV FOLDER: makes an empty environment of this Python, whatever was there.
new_environment() {
    local python=$PYTHON
    [[ ${UV_PYTHON:-} != "$PYTHON".* ]] || python=$UV_PYTHON
    rm -rf "$2" # uv clears no folder that is not an environment yet
    "$1" venv --quiet --python "$python" "$2" ||
        stop "Python $PYTHON is missing and could not be fetched: install Python 3.11 or 3.12, then run \`make setup\`"
}

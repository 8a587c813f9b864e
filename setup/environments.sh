#!/usr/bin/env bash
# Installs requirements.lock into .venv (GPU=1: with requirements-gpu.lock), and edge/requirements.txt into .venv-edge; fetches
# Delta's jars, and archives Spark's classes. If Horovod has to be compiled, that is beside all of this. Does nothing twice.
set -euo pipefail
source setup/versions.sh

# The note of a finished environment is written last and removed before the first change: an
# environment without it was interrupted and is built again.
made_from() { echo "Python $PYTHON and TensorFlow $TENSORFLOW in $PWD" && sha256sum "$@"; }

is_finished() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(<"$1/$NOTE") == "$(made_from "${@:2}")" ]]
}

# Whether it was finished once for this Python, this folder, and this TensorFlow, which Horovod is
# compiled against, so that only packages change.
is_adaptable() {
    [[ -x $1/bin/python && -f $1/$NOTE && $(head -1 "$1/$NOTE") == "$(made_from "${@:2}" | head -1)" ]]
}

# Installs with bytecode. In containers that set PYTHONDONTWRITEBYTECODE, every process would compile
# its imports otherwise, which takes six seconds with TensorFlow.
fill() { "$uv" pip "$1" --quiet --compile-bytecode --python "${@:2}"; }

finish() {
    made_from "${@:2}" >"$1/$NOTE"
    rm -f "$1/$UNFINISHED"
}

# Writes down what .venv is to be: once interrupted, it would else become one without GPU.
plan() { mkdir -p .venv && made_from "${LOCKS[@]}" >.venv/$UNFINISHED; }

fill_edge() {
    is_finished .venv-edge edge/requirements.txt && return
    uv=$(setup/uv.sh)
    say ".venv-edge: installing the packages of the device, a few seconds"
    # the list names direct dependencies only, as on a device: always install from scratch
    new_environment "$uv" .venv-edge
    fill install .venv-edge --requirements edge/requirements.txt
    finish .venv-edge edge/requirements.txt
}

prepare_spark() {
    .venv/bin/python -m steps.lake.jars
    .venv/bin/python -m steps.lake.class_archive || .venv/bin/python -m steps.ingestion.rehearsal
}

# Compiles Horovod in the background, as soon as what that needs is installed: so it is fetched once.
compile() {
    exec {compiles}< <(exec setsid nice setup/horovod.sh)
    compiling=$!
    trap 'kill -- "-$compiling" 2>/dev/null || true' EXIT
    read -r -u "$compiles" || true
}

if is_finished .venv "${LOCKS[@]}"; then
    rm -f .venv/$UNFINISHED
else
    plan
    uv=$(setup/uv.sh)
    horovod_wheel >/dev/null || compile
    say ".venv: installing $(locked | grep -c ==) packages, about a minute"
    if is_adaptable .venv "${LOCKS[@]}"; then
        rm .venv/$NOTE
    else
        new_environment "$uv" .venv # without the plan
        plan
    fi
    if [[ -n ${compiling:-} ]]; then
        locked | grep -v ^horovod== | fill sync .venv -
        fill_edge
        prepare_spark
        say ".venv: waiting for Horovod"
        wait "$compiling"
        trap - EXIT
    fi
    locked | fill sync .venv --find-links "$WHEELS" --only-binary horovod -
    finish .venv "${LOCKS[@]}"
fi
fill_edge
prepare_spark

#!/usr/bin/env bash
# Compiles the Horovod wheel against the locked TensorFlow and keeps it in the cache, once for each
# version of Python, TensorFlow and Horovod.
set -euo pipefail
source setup/versions.sh

if horovod_wheel >/dev/null; then
    exit 0
fi

uv=$(setup/uv.sh)
log="$CACHE/horovod-$HOROVOD.log"
mkdir -p "$WHEELS"
scratch=$(mktemp -d "$CACHE/.horovod-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

say "compiling Horovod $HOROVOD for TensorFlow $TENSORFLOW and Python $PYTHON, once: about 3 minutes on two cores"
say "(compiler output: $log)"
new_environment "$uv" "$scratch/venv"
"$uv" pip install --quiet --python "$scratch/venv" --constraints requirements.lock \
    --requirements setup/horovod-build.txt setuptools wheel tensorflow-cpu \
    cloudpickle packaging psutil pyyaml
echo "compiling" # for setup/environments.sh, which goes on now

export PATH="$scratch/venv/bin:$PATH"
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITH_GLOO=1
export HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_MPI=1
# In half the time: without symbols for a debugger, and without the Gloo for a TensorFlow before 2.10.
cat >"$scratch/cmake" <<'END'
#!/bin/sh
[ "$1" != --build ] || exec cmake --build . --target tensorflow
exec cmake "$@" -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O3 -DNDEBUG"
END
chmod +x "$scratch/cmake"
export HOROVOD_CMAKE="$scratch/cmake"
# not the flags of the make that may have called this script
MAKEFLAGS="-j$(nproc)"
export MAKEFLAGS

# without pip's cache, which does not distinguish wheels by their TensorFlow
python -m pip wheel --no-cache-dir --no-build-isolation --no-deps --no-binary horovod \
    --wheel-dir "$scratch/wheel" "horovod==$HOROVOD" >"$log" 2>&1 ||
    stop "compiling Horovod failed: see $log, then run \`make horovod\`"

"$uv" pip install --quiet --python "$scratch/venv" --no-deps "$scratch"/wheel/horovod-*.whl
(cd "$scratch" && python -c 'import horovod.tensorflow as hvd; assert hvd.gloo_built()') >>"$log" 2>&1 ||
    stop "the compiled Horovod cannot be imported: see $log, then run \`make horovod\`"

# moved at once, so that no process finds half a wheel
mv "$scratch"/wheel/horovod-*.whl "$WHEELS/"
say "Horovod is compiled: $WHEELS"

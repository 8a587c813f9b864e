#!/usr/bin/env bash
# Builds the two Debian systems for the device's tests: `arm64`, which qemu emulates, and `camera`,
# with libcamera's virtual camera and picamera2. Each is built once; its Python packages are installed
# again if their sources change.
set -euo pipefail
source setup/versions.sh

SYSTEMS="$CACHE/systems"

ARM64=(python3.11-minimal libpython3.11-stdlib libstdc++6 libgomp1 tzdata)
CAMERA=(python3 python3-libcamera libcamera-ipa python3-av python3-prctl python3-numpy python3-pil
    python3-piexif python3-jsonschema tzdata)
# picamera2 and its dependencies that Debian lacks.
PICAMERA2=(picamera2==0.3.38 simplejpeg==1.9.0 videodev2==0.0.4 openexr==3.5.3 libarchive-c==5.3
    tqdm==4.70.1)

as_root=()
[[ $(id -u) == 0 ]] || as_root=(sudo -n)

# Prints the missing Debian packages.
missing() {
    command -v qemu-aarch64-static >/dev/null || echo qemu-user-static
    [[ -x /usr/sbin/debootstrap ]] || echo debootstrap
    command -v "${CC:-cc}" >/dev/null || echo gcc libc6-dev
}

require_tools() {
    local packages
    packages=$(missing | paste -sd' ')
    [[ -n $packages ]] || return 0
    command -v apt-get >/dev/null || stop "the emulated systems need $packages: install these packages"
    say "installing packages for the emulated systems: $packages"
    "${as_root[@]}" apt-get update -qq </dev/null >/dev/null
    # shellcheck disable=SC2086
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages </dev/null >/dev/null
}

# contains FILE TEXT: whether a file holds exactly this text
contains() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# install_system NAME SUITE ARCHITECTURE PACKAGE…: unpacks the packages; none needs configuring.
install_system() {
    local name=$1 suite=$2 architecture=$3 scratch archive
    shift 3
    ! contains "$SYSTEMS/$name/packages" "$suite $*" || return 0
    say "Debian $suite for $architecture: fetching and unpacking, one to three minutes"
    scratch=$(mktemp -d "$SYSTEMS/.$name-XXXXXX")
    chmod 755 "$scratch"
    "${as_root[@]}" /usr/sbin/debootstrap --foreign --variant=minbase --arch="$architecture" \
        --include="$(IFS=,; echo "$*")" "$suite" "$scratch" >"$SYSTEMS/$name.log" 2>&1 ||
        stop "debootstrap failed, see $SYSTEMS/$name.log"
    for archive in "$scratch"/var/cache/apt/archives/*.deb; do
        "${as_root[@]}" dpkg-deb --extract "$archive" "$scratch"
    done
    "${as_root[@]}" rm -rf "$scratch"/{var/cache/apt/archives,debootstrap,usr/share/{doc,man,locale}}
    "${as_root[@]}" chown -R "$(id -u):$(id -g)" "$scratch"
    echo "$suite $*" >"$scratch/packages"
    rm -rf "${SYSTEMS:?}/$name"
    mv -T "$scratch" "$SYSTEMS/$name"
}

# Prints a hash of what the Python packages of a system are built from.
made_from() { cat setup/emulation.sh edge/requirements.txt requirements.lock "$@" | sha256sum; }

# install_wheels FOLDER OPTION…: installs packages for another Python than this machine's
install_wheels() { "$(setup/uv.sh)" pip install --quiet --only-binary :all: --target "$@"; }

# Prints the locked versions of what the tests need.
tools() { grep -E '^(pytest|pytest-timeout|onnx|requests|cryptography)==' requirements.lock; }

arm64() {
    local root="$SYSTEMS/arm64" site
    install_system arm64 bookworm arm64 "${ARM64[@]}"
    ! contains "$root/made-from" "$(made_from)" || return 0
    site="$root/usr/local/lib/python3.11/dist-packages"
    rm -rf "$site" "$root/made-from"
    # later releases of onnxruntime crash in qemu 7.2, not on a Pi; the installer keeps Debian 12's
    # NumPy
    tools | install_wheels "$site" --python-version 3.11 --python-platform aarch64-manylinux_2_28 \
        --requirements edge/requirements.txt --requirements - "onnxruntime<1.27" "numpy==1.24.2"
    # starts the emulated interpreter, for this machine and for programs that a test starts in there
    cat >"$root/python" <<-END
	#!/bin/sh
	exec qemu-aarch64-static -cpu cortex-a72 -L "$root" "$root/usr/bin/python3.11" "\$@"
	END
    chmod +x "$root/python"
    echo "import sys; sys.executable = '$root/python'" >"$site/emulated.pth"
    made_from >"$root/made-from"
}

# Builds an environment that sees the system's packages, such as libcamera and numpy, as on a Pi.
camera() {
    local root="$SYSTEMS/camera" python=(--python-version 3.13 --python-platform "x86_64-manylinux_2_28")
    local site environment numpy
    install_system camera trixie amd64 "${CAMERA[@]}"
    ! contains "$root/made-from" "$(made_from tests/edge/emulation/dma_heap.c)" || return 0
    environment="$root/opt/agent"
    site="$environment/lib/python3.13/site-packages"
    rm -rf "$environment" "$root/made-from"
    mkdir -p "$site" "$environment/bin"
    ln -s /usr/bin/python3 "$environment/bin/python"
    printf '%s\n' "home = /usr/bin" "include-system-site-packages = true" >"$environment/pyvenv.cfg"
    install_wheels "$site" "${python[@]}" --no-deps "${PICAMERA2[@]}"
    numpy=$(basename "$root"/usr/lib/python3/dist-packages/numpy-*.dist-info .dist-info)
    tools | install_wheels "$site" "${python[@]}" --requirements edge/requirements.txt --requirements - \
        "${numpy/-/==}"
    rm -rf "$site"/numpy{,.libs,-*.dist-info}
    "${CC:-cc}" -shared -fPIC -O1 -Wall -Wextra -o "$root/opt/dma_heap.so" tests/edge/emulation/dma_heap.c
    made_from tests/edge/emulation/dma_heap.c >"$root/made-from"
}

[[ $(uname -m) == x86_64 ]] || stop "the emulated systems run on x86-64 machines only"
"${as_root[@]}" true 2>/dev/null ||
    stop "debootstrap needs root: allow sudo without a password, or skip these tests"
require_tools
mkdir -p "$SYSTEMS"
exec 9>"$SYSTEMS/.lock"
flock 9
find "$SYSTEMS" -maxdepth 1 -name '.*-??????' -exec rm -rf {} +
arm64
camera

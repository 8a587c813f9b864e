#!/usr/bin/env bash
# Makes the two Debian systems that the device's tests run in besides this machine itself: `arm64`,
# which qemu emulates, and `camera`, with libcamera's virtual camera and picamera2. Each is made
# once; its Python packages are installed again if what they are made from has changed.
set -euo pipefail
source setup/versions.sh

SYSTEMS="$CACHE/systems"

ARM64=(python3.11-minimal libpython3.11-stdlib libstdc++6 libgomp1 tzdata)
CAMERA=(python3 python3-libcamera libcamera-ipa python3-av python3-prctl python3-numpy python3-pil
    python3-piexif python3-jsonschema tzdata)
# picamera2 and what of it Debian has not.
PICAMERA2=(picamera2==0.3.38 simplejpeg==1.9.0 videodev2==0.0.4 openexr==3.5.3 libarchive-c==5.3
    tqdm==4.70.1)

as_root=()
[[ $(id -u) == 0 ]] || as_root=(sudo -n)

# As Debian names it.
missing() {
    command -v qemu-aarch64-static >/dev/null || echo qemu-user-static
    [[ -x /usr/sbin/debootstrap ]] || echo debootstrap
    command -v "${CC:-cc}" >/dev/null || echo gcc libc6-dev
}

require_tools() {
    local packages
    packages=$(missing | paste -sd' ')
    [[ -n $packages ]] || return 0
    command -v apt-get >/dev/null || stop "the emulated systems need $packages: install them first"
    say "installing what the emulated systems need: $packages"
    "${as_root[@]}" apt-get update -qq </dev/null >/dev/null
    # shellcheck disable=SC2086
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages </dev/null >/dev/null
}

# says FILE TEXT: whether a note holds just that
says() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# system NAME SUITE ARCHITECTURE PACKAGE…: unpacked, not configured, which nothing here needs.
system() {
    local name=$1 suite=$2 architecture=$3 scratch archive
    shift 3
    ! says "$SYSTEMS/$name/packages" "$suite $*" || return 0
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

# What the Python packages of a system are made from.
made_from() { cat setup/emulation.sh edge/requirements.txt requirements.lock "$@" | sha256sum; }

# wheels FOLDER OPTION…: install for another Python than this machine's
wheels() { "$(setup/uv.sh)" pip install --quiet --only-binary :all: --target "$@"; }

# The tests' own tools, as locked.
tools() { grep -E '^(pytest|pytest-timeout|onnx)==' requirements.lock; }

arm64() {
    local root="$SYSTEMS/arm64" site
    system arm64 bookworm arm64 "${ARM64[@]}"
    ! says "$root/made-from" "$(made_from)" || return 0
    site="$root/usr/local/lib/python3.11/dist-packages"
    rm -rf "$site" "$root/made-from"
    # Later releases of onnxruntime crash in qemu 7.2, not on a Pi. NumPy's is Debian 12's own, which
    # the installer keeps.
    tools | wheels "$site" --python-version 3.11 --python-platform aarch64-manylinux_2_28 \
        --requirements edge/requirements.txt --requirements - "onnxruntime<1.27" "numpy==1.24.2"
    # The emulated interpreter, for this machine and for the programs that a test starts in there.
    cat >"$root/python" <<-END
	#!/bin/sh
	exec qemu-aarch64-static -cpu cortex-a72 -L "$root" "$root/usr/bin/python3.11" "\$@"
	END
    chmod +x "$root/python"
    echo "import sys; sys.executable = '$root/python'" >"$site/emulated.pth"
    made_from >"$root/made-from"
}

# As on a Pi, an environment that sees the system's packages: libcamera and numpy among them.
camera() {
    local root="$SYSTEMS/camera" python=(--python-version 3.13 --python-platform "x86_64-manylinux_2_28")
    local site environment numpy
    system camera trixie amd64 "${CAMERA[@]}"
    ! says "$root/made-from" "$(made_from tests/edge/emulation/dma_heap.c)" || return 0
    environment="$root/opt/agent"
    site="$environment/lib/python3.13/site-packages"
    rm -rf "$environment" "$root/made-from"
    mkdir -p "$site" "$environment/bin"
    ln -s /usr/bin/python3 "$environment/bin/python"
    printf '%s\n' "home = /usr/bin" "include-system-site-packages = true" >"$environment/pyvenv.cfg"
    wheels "$site" "${python[@]}" --no-deps "${PICAMERA2[@]}"
    numpy=$(basename "$root"/usr/lib/python3/dist-packages/numpy-*.dist-info .dist-info)
    tools | wheels "$site" "${python[@]}" --requirements edge/requirements.txt --requirements - \
        "${numpy/-/==}"
    rm -rf "$site"/numpy{,.libs,-*.dist-info}
    "${CC:-cc}" -shared -fPIC -O1 -Wall -Wextra -o "$root/opt/dma_heap.so" tests/edge/emulation/dma_heap.c
    made_from tests/edge/emulation/dma_heap.c >"$root/made-from"
}

[[ $(uname -m) == x86_64 ]] || stop "the emulated systems are made for x86-64 machines"
"${as_root[@]}" true 2>/dev/null ||
    stop "debootstrap has to run as root: allow sudo without a password, or leave those tests skipped"
require_tools
mkdir -p "$SYSTEMS"
exec 9>"$SYSTEMS/.lock"
flock 9
find "$SYSTEMS" -maxdepth 1 -name '.*-??????' -exec rm -rf {} +
arm64
camera

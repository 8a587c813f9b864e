#!/usr/bin/env bash
# Install, upgrade or remove the agent on a Raspberry Pi or any Debian: sudo edge/install/install.sh
#
#   --uninstall       remove the program and the service; keep settings, models and images
#   --purge           with --uninstall: remove those too
#   --camera KIND     a kind of `edge-agent capture --help` (default: picamera2 if libcamera is
#                     installed, otherwise opencv)
#   --prefix PATH     folder of the program             (/opt/lakehouse-vision)
#   --config PATH     folder of the settings            (/etc/lakehouse-vision)
#   --state PATH      folder of images and models       (/var/lib/lakehouse-vision)
#   --python PATH     the Python to use                 (/usr/bin/python3)
#   --no-systemd      without a service and its user: start the agent yourself
set -euo pipefail
umask 022 # every user may run edge-agent and read the settings

name=lakehouse-vision
prefix=/opt/$name config=/etc/$name state=/var/lib/$name
units=/etc/systemd/system bin=/usr/local/bin
python=/usr/bin/python3 camera='' systemd=yes action=install purge=no

say() { printf 'install: %s\n' "$*" >&2; }

stop() {
    say "$@"
    exit 1
}

while [[ $# -gt 0 ]]; do
    case $1 in
    --uninstall) action=uninstall ;;
    --purge) purge=yes ;;
    --no-systemd) systemd=no ;;
    --prefix | --config | --state | --python | --camera)
        [[ $# -gt 1 ]] || stop "$1 needs a value"
        printf -v "${1#--}" %s "$2"
        shift
        ;;
    --help | -h)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
        exit
        ;;
    *) stop "unknown option $1: see --help" ;;
    esac
    shift
done

for path in "$prefix" "$config" "$state"; do
    [[ $path == /?* && $path != *[[:space:]\|]* ]] ||
        stop "$path has to be an absolute path without spaces"
done
edge=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

[[ $purge == no || $action == uninstall ]] || stop "--purge goes with --uninstall"

if [[ $systemd == yes ]]; then
    [[ $(id -u) == 0 ]] || stop "a service and its user need root: sudo $0, or --no-systemd"
    command -v systemctl >/dev/null || stop "systemd is missing: use --no-systemd"
fi

uninstall() {
    if [[ $systemd == yes && -f $units/$name.service ]]; then
        systemctl disable --quiet --now $name.service
        systemctl stop "$name@*.service"
        systemctl disable --quiet $name@.service # of every camera
        rm -f "$units/$name.service" "$units/$name@.service" "$bin/edge-agent"
        systemctl daemon-reload
    fi
    local store path
    store=$(sed -n 's/^folder *= *"\(.*\)".*/\1/p' "$config/agent.toml" 2>/dev/null || true)
    # Only a folder that this script has created and marked.
    [[ ! -f $prefix/installed ]] || rm -rf "$prefix"
    if [[ $purge == no ]]; then
        say "removed; settings are kept in $config, models and images in $state (--purge removes them)"
        return
    fi
    [[ ! -f $config/agent.toml && ! -f $config/environment ]] || rm -rf "$config"
    # Nothing that is mounted there, such as a share with images of other devices.
    [[ ! -d $state/landing && ! -d $state/models && ! -f $state/store.sqlite ]] ||
        rm -rf --one-file-system "$state" || true
    [[ $systemd == no ]] || ! id $name >/dev/null 2>&1 || userdel $name
    say "removed, with settings, models and images"
    for path in "$prefix" "$config" "$state" "$store"; do
        [[ ! -e $path ]] || say "still there, remove it yourself if it is not needed: $path"
    done
}

check() {
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null ||
        stop "$python is not Python 3.11 to 3.13: use 64-bit Pi OS Bookworm or Trixie, or --python"
    [[ $(uname -m) =~ ^(aarch64|x86_64)$ ]] ||
        stop "$(uname -m) is not a 64-bit system: install the 64-bit Pi OS"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "Python's venv is missing: sudo apt install -y python3-venv, then again"
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] ||
        say "servers with https need: sudo apt install -y ca-certificates"
    if [[ -z $camera ]]; then
        camera=opencv
        ! "$python" -c 'import libcamera' 2>/dev/null || camera=picamera2
    fi
    if [[ $camera == picamera2 ]] && ! "$python" -c 'import picamera2' 2>/dev/null; then
        say "the camera needs: sudo apt install -y python3-picamera2"
    fi
}

# Keep the numpy of apt: another one in the environment would hide the one that apt's simplejpeg,
# and with it picamera2, is compiled against.
system_pins() {
    "$python" -c '
from importlib.metadata import PackageNotFoundError, version
try:
    print("numpy==" + version("numpy"))
except PackageNotFoundError:
    pass'
}

# What was added to the installed environment, such as s3fs: what no other package there requires.
added_packages() {
    "$python" - "$prefix/venv" "$edge/requirements.txt" <<'EOF'
import re
import sys
from importlib.metadata import distributions
from pathlib import Path


def name(text):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text)[0]).lower()


places = [str(place) for place in Path(sys.argv[1]).glob("lib/python*/site-packages")]
packages = list(distributions(path=places))
required = [line for one in packages for line in one.requires or () if "extra ==" not in line]
required += [line for line in Path(sys.argv[2]).read_text().splitlines() if line[:1].isalpha()]
names = {name(one.metadata["Name"]) for one in packages}
own = {"lakehouse-vision-edge", "pip", "setuptools", "wheel"}
print(*sorted(names - {name(line) for line in required} - own))
EOF
}

# Install the new program beside the old one, and replace that once the new one starts.
program() {
    local fresh=$prefix.new added wheel
    rm -rf "$fresh" "$prefix.old"
    mkdir -p "$fresh/bin" "$fresh/docs"
    say "creating the environment, which takes a minute or two on a Pi"
    "$python" -m venv --system-site-packages "$fresh/venv"
    system_pins >"$fresh/system-pins.txt"
    added=$(added_packages)
    [[ -z $added ]] || say "the new environment keeps what was added: $added"
    wheel=$("$python" -B "$edge/install/edge_wheel.py" "$fresh")
    # shellcheck disable=SC2086 # the names are words
    "$fresh/venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --constraint "$fresh/system-pins.txt" "$fresh/$wheel" $added
    rm "$fresh/$wheel"
    [[ ! -f $edge/../docs/device.md ]] || cp "$edge/../docs/device.md" "$fresh/docs/"
    filled_in "$edge/install/edge-agent" >"$fresh/bin/edge-agent"
    chmod 755 "$fresh/bin/edge-agent"
    # -P: the installed one, and not that of the folder in which this is typed; pip compiled it,
    # since the service may not write there
    "$fresh/venv/bin/python3" -P -c 'import edge.agent.agent, edge.preview.server' ||
        stop "the new program does not start; the installed one is kept"
    date -u +%FT%TZ >"$fresh/installed"
    # pip, activate and their like name the environment's place
    grep -rlIZ "$fresh" "$fresh/venv/bin" "$fresh/venv/pyvenv.cfg" |
        xargs -0 --no-run-if-empty sed -i "s|$fresh|$prefix|g"
    sync # or a power cut leaves empty files in the place of the old ones
    [[ ! -e $prefix ]] || mv "$prefix" "$prefix.old"
    mv "$fresh" "$prefix"
    rm -rf "$prefix.old"
}

filled_in() {
    sed -e "s|@PREFIX@|$prefix|g; s|@CONFIG@|$config|g; s|@STATE@|$state|g; s|@USER@|$name|g" \
        -e "s|@CAMERA@|$camera|g; s|@DEVICE@|$(uname -n | tr -c 'A-Za-z0-9\n' -)|g" "$1"
}

settings() {
    mkdir -p "$config" "$state/landing"
    if [[ ! -s $config/agent.toml ]]; then # a power cut may have left an empty one
        filled_in "$edge/install/agent.toml" >"$config/agent.toml"
        say "set the landing zone and the model: $config/agent.toml"
    fi
    if [[ ! -e $config/environment ]]; then
        (
            umask 077
            printf '#MLFLOW_TRACKING_USERNAME=\n#MLFLOW_TRACKING_PASSWORD=\n' >"$config/environment"
        )
    fi
    sync
}

service() {
    id $name >/dev/null 2>&1 ||
        useradd --system --home-dir "$state" --shell /usr/sbin/nologin $name
    # nothing that is mounted there, such as a share with images of other devices
    find "$state" -xdev -exec chown -h $name: {} +
    chmod 750 "$state"
    filled_in "$edge/install/$name.service" >"$units/$name.service"
    # one for each further camera, by the name of its settings
    sed 's|/agent\.toml|/%i.toml|' "$units/$name.service" >"$units/$name@.service"
    ln -sf "$prefix/bin/edge-agent" "$bin/edge-agent"
    systemctl daemon-reload
    systemctl enable --quiet $name.service
    systemctl restart $name.service
    systemctl try-restart "$name@*.service"
    say "the agent runs: edge-agent status"
}

if [[ $action == uninstall ]]; then
    uninstall
    exit
fi
check
program
settings
if [[ $systemd == yes ]]; then
    service
else
    say "start the agent: $prefix/bin/edge-agent run --config $config/agent.toml"
fi

#!/usr/bin/env bash
# Installs, upgrades or removes the agent on a Raspberry Pi or any Debian: sudo edge/install/install.sh
#
#   --uninstall       remove the program and the service; settings, models and images stay
#   --purge           with --uninstall: remove those too
#   --camera KIND     picamera2 (default where libcamera is), opencv, folder or simulated
#   --prefix PATH     where the program goes            (/opt/lakehouse-vision)
#   --config PATH     where the settings go             (/etc/lakehouse-vision)
#   --state PATH      what it keeps: images, models   (/var/lib/lakehouse-vision)
#   --python PATH     the Python to use                 (/usr/bin/python3)
#   --no-systemd      no service and no user of its own: start it yourself
set -euo pipefail

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
        [[ $# -gt 1 ]] || stop "$1 wants a value"
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

if [[ $systemd == yes ]]; then
    [[ $(id -u) == 0 ]] || stop "it makes a user and a service: sudo $0, or --no-systemd"
    command -v systemctl >/dev/null || stop "there is no systemd here: --no-systemd"
fi

uninstall() {
    if [[ $systemd == yes && -f $units/$name.service ]]; then
        systemctl disable --quiet --now $name.service
        rm -f "$units/$name.service" "$bin/edge-agent"
        systemctl daemon-reload
    fi
    # Only what this script has made: it leaves a note there.
    [[ ! -f $prefix/installed ]] || rm -rf "$prefix"
    if [[ $purge == no ]]; then
        say "removed; settings stay in $config, models and images in $state (--purge removes them)"
        return
    fi
    [[ ! -f $config/agent.toml ]] || rm -rf "$config"
    [[ ! -d $state/landing ]] || rm -rf "$state"
    [[ $systemd == no ]] || ! id $name >/dev/null 2>&1 || userdel $name
    say "removed, with settings, models and images"
}

check() {
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null ||
        stop "$python is not Python 3.11 to 3.13: use 64-bit Pi OS Bookworm or Trixie, or --python"
    [[ $(uname -m) =~ ^(aarch64|x86_64)$ ]] ||
        stop "$(uname -m) is no 64-bit system: install the 64-bit Pi OS"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "Python's venv is missing: sudo apt install -y python3-venv, then again"
    if [[ -z $camera ]]; then
        camera=opencv
        ! "$python" -c 'import libcamera' 2>/dev/null || camera=picamera2
    fi
    if [[ $camera == picamera2 ]] && ! "$python" -c 'import picamera2' 2>/dev/null; then
        say "there is no image until: sudo apt install -y python3-picamera2"
    fi
}

# What apt has installed and others of apt are compiled against stays as it is: another numpy in
# the environment would hide the one that apt's simplejpeg, and with it picamera2, needs.
system_pins() {
    "$python" -c '
from importlib.metadata import PackageNotFoundError, version
try:
    print("numpy==" + version("numpy"))
except PackageNotFoundError:
    pass'
}

# A new program is made beside the old one, and takes its place once it works.
program() {
    local fresh=$prefix.new
    rm -rf "$fresh" "$prefix.old"
    mkdir -p "$fresh/app" "$fresh/bin" "$fresh/docs"
    say "making the environment, a minute or two on a Pi"
    "$python" -m venv --system-site-packages "$fresh/venv"
    system_pins >"$fresh/system-pins.txt"
    "$fresh/venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
        --only-binary :all: --constraint "$fresh/system-pins.txt" \
        --requirement "$edge/requirements.txt"
    cp -R "$edge" "$fresh/app/edge"
    find "$fresh/app" -name __pycache__ -prune -exec rm -rf {} +
    [[ ! -f $edge/../docs/device.md ]] || cp "$edge/../docs/device.md" "$fresh/docs/"
    filled_in "$edge/install/edge-agent" >"$fresh/bin/edge-agent"
    chmod 755 "$fresh/bin/edge-agent"
    PYTHONPATH=$fresh/app "$fresh/venv/bin/python3" -c \
        'import edge.agent.agent, edge.preview.server' ||
        stop "the new program does not start; what was installed before stays"
    date -u +%FT%TZ >"$fresh/installed"
    # bytecode now: the service may not write here
    "$fresh/venv/bin/python3" -m compileall -q "$fresh/app" >/dev/null
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
    if [[ ! -e $config/agent.toml ]]; then
        filled_in "$edge/install/agent.toml" >"$config/agent.toml"
        say "say where images go, and which model to follow: $config/agent.toml"
    fi
    if [[ ! -e $config/environment ]]; then
        (
            umask 077
            printf '#MLFLOW_TRACKING_USERNAME=\n#MLFLOW_TRACKING_PASSWORD=\n' >"$config/environment"
        )
    fi
}

service() {
    id $name >/dev/null 2>&1 ||
        useradd --system --home-dir "$state" --shell /usr/sbin/nologin $name
    chown -R $name: "$state"
    chmod 750 "$state"
    filled_in "$edge/install/$name.service" >"$units/$name.service"
    ln -sf "$prefix/bin/edge-agent" "$bin/edge-agent"
    systemctl daemon-reload
    systemctl enable --quiet $name.service
    systemctl restart $name.service
    say "it runs: edge-agent status"
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
    say "start it: $prefix/bin/edge-agent run --config $config/agent.toml"
fi

#!/usr/bin/env bash
# The first process of a host, in namespaces of its own: host.sh NAME HOME HOSTS FOLDER...
# makes its folders private and everything else read-only, and ends with its input.
set -euo pipefail
name=$1 home=$2 hosts=$3
shift 3

hostname "$name"
ip link set lo up
findmnt --raw --noheadings --output TARGET | while read -r target; do
    case $target in
        /proc* | /sys* | /dev*) ;;
        *) mount -o remount,bind,ro "$target" ;;
    esac
done
mount -t sysfs sysfs /sys
for folder in /tmp /var/tmp /run /dev/shm "$@"; do
    mount -t tmpfs private "$folder"
done
mkdir -m 755 "$home"
# as Debian's installer writes it: to a host, its own name is an address that no other host reaches
printf '127.0.0.1 localhost\n127.0.1.1 %s\n%s\n' "$name" "$hosts" >"$home/.hosts"
mount --bind "$home/.hosts" /etc/hosts
echo ready
while read -r _; do :; done

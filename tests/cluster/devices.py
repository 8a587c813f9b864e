"""Devices on hosts of their own."""

import sys

from cluster_site import Site
from hosts import Host
from services import PROJECT


def _number(device: Host) -> str:
    return device.name.removeprefix("device-")


def land(site: Site, device: Host, count: int, day: int, folder: str) -> None:
    """Let a device take images, one an hour from a day of August on, and send them."""
    taken = site.home / folder
    start = f"2026-08-{day:02}T00:15:00+00:00"
    device.run(
        *("env", f"--chdir={PROJECT}", sys.executable, "-m", "edge", "capture", "--to", taken),
        *("--count", count, "--period", 60, "--start", start, "--device", _number(device)),
    )
    send = "import sys, fsspec; fsspec.filesystem('s3').put(*sys.argv[1:], recursive=True)"
    device.run(sys.executable, "-P", "-c", send, f"{taken}/", f"vision/{folder}/")

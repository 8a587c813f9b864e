"""Devices on hosts of their own: they land images, and run the agent."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import requests
from cluster_site import Site
from hosts import Host
from processes import start
from services import PROJECT

SECONDS = 240

AGENT = """
device = "{device}"
trust_clock = true
[landing]
url = "s3://vision/seen"
report_minutes = 0.1
max_retry_seconds = 5
[model]
server = "{server}"
name = "{model}"
poll_seconds = 5
[camera]
kind = "simulated"
[capture]
period_seconds = {period}
[store]
folder = "{folder}"
free_megabytes = 0
"""


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


def start_agent(site: Site, device: Host, model: str, period: int) -> subprocess.Popen:
    """Start the agent of a device, which may read the model and write into the landing zone.

    Args:
        site: the cluster.
        device: where.
        model: the name of the released model.
        period: seconds between two images; 0: it takes none.
    """
    home, camera = site.home, site.cluster.camera
    settings = {"server": os.environ["MLFLOW_TRACKING_URI"], "folder": home / "agent"}
    text = AGENT.format(device=_number(device), model=model, period=period, **settings)
    device.file(home / "agent.toml").write_text(text)
    login = {"MLFLOW_TRACKING_USERNAME": camera.name, "MLFLOW_TRACKING_PASSWORD": camera.password}
    command = ["env", f"--chdir={PROJECT}", sys.executable, "-m", "edge", "run"]
    command += ["--config", home / "agent.toml"]
    return start(command, home / f"{device.name}.log", login, device)


def status(device: Host) -> dict[str, Any]:
    """What the page of a device says; nothing until there is one."""
    with device.network():
        try:
            return requests.get("http://127.0.0.1:8089/status", timeout=5).json()
        except requests.ConnectionError:
            return {}


def wait_until(what: str, devices: Sequence[Host], done: Callable[[dict[str, Any]], Any]) -> None:
    """Ask the devices until something is so on each."""
    deadline = time.monotonic() + SECONDS
    while not all(done(said := status(device)) for device in devices):
        assert time.monotonic() < deadline, f"{what}: {said}"
        time.sleep(1)

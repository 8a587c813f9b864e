"""A fleet of devices that polls one MLflow server, and then updates from it.

    python -m benchmarks.fleet --devices 1000 --seconds 20

The server is a real one on loopback, with SQLite and artifacts in a folder; the devices are the
agent's own registry client, a thread and an open connection each, in this process. Measured are:

- held: how many polls a second the server answers a few clients that ask again at once;
- spread: the devices as they are, each at its own times (`edge/update/polling.py`), the period
  such that they ask for half of that;
- at once: what happens without jitter, when all ask in the same moment;
- update: a release comes out while they poll, each at its own times within `--period`, or all at
  once; each fetches the files;
- behind a cache: the last two again through nginx, which keeps files for good and the answer to a
  poll for a few seconds (left out, loudly, where there is no nginx).

What a device computes is not simulated. Each part ends after `--seconds` or `--period`, or when
each device is done; what takes longer than a device waits is a failure. The last line is JSON.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import requests
from mlflow import MlflowClient

from benchmarks.machine import machine
from edge.errors import UserError
from edge.release import RELEASE_TAG, Release
from edge.update.polling import PollTimes
from edge.update.registry import Registry
from steps.serving.release import state_release

MODEL, ALIAS = "package-onnx", "champion"
FILES = {
    "model.onnx": 410_000,
    "model.int8.onnx": 130_000,
    "record.json": 2_000,
    "golden.json": 60_000,
}
"""Bytes of a release, about as `export` makes it for 128 × 128 pixels."""
START_SECONDS = 120
CACHED_SECONDS = 5

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    proxy_cache_path {folder}/cache keys_zone=mlflow:10m max_size=1g;
    proxy_cache_key $http_authorization$request_uri;
    proxy_cache_lock on;
    proxy_ignore_headers Cache-Control Expires;
    server {{
        listen {listen} backlog=4096;
        location = /model-versions/get-artifact {{
            proxy_pass {server};
            proxy_cache mlflow;
            proxy_cache_valid 200 30d;
        }}
        location = /api/2.0/mlflow/registered-models/alias {{
            proxy_pass {server};
            proxy_cache mlflow;
            proxy_cache_valid 200 {seconds}s;
        }}
        location / {{ proxy_pass {server}; }}
    }}
}}
"""


def main() -> None:
    """Measure each part and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20, help="of each part with polls alone")
    parser.add_argument("--period", type=float, default=60, help="seconds, of the spread update")
    parser.add_argument("--clients", type=int, default=16, help="that ask again at once")
    parser.add_argument("--workers", type=int, default=2, help="processes of the server")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), options.workers) as server:
        mlflow.set_tracking_uri(server)
        parts = measure(server, Path(folder), options)
    held, updating = parts["held"], parts["update_spread"]
    print(
        json.dumps(
            {
                "devices": options.devices,
                "workers": options.workers,
                "polls_a_second": held["a_second"],
                "poll_p99_ms": parts["spread"]["p99_ms"],
                "update_p99_ms": updating["p99_ms"],
                "failures": sum(part["failures"] for part in parts.values()),
                "release_bytes": sum(FILES.values()),
                **parts,
            }
        )
    )


def measure(server: str, folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All parts, by name."""
    seeds = iter(range(options.seed, options.seed + 9))
    publish(folder, next(seeds))
    fleet = [Device(server, number) for number in range(options.devices)]
    parts = {"held": show("held", closed_loop(server, options.clients, options.seconds))}
    period = options.devices / (parts["held"]["a_second"] / 2)
    print(f"the fleet polls every {period:.1f} s", flush=True)
    lasts = max(period, options.seconds)
    parts["spread"] = show("spread", by_jitter(fleet, Device.poll, period, lasts))
    parts["at_once"] = show("at once", together(fleet, Device.poll))
    publish(folder, next(seeds))
    updating = by_jitter(fleet, Device.update, options.period, options.period)
    parts["update_spread"] = show("update, spread", updating)
    publish(folder, next(seeds))
    parts["update_at_once"] = show("update, at once", together(fleet, Device.update))
    if shutil.which("nginx") is None:
        print("NOT MEASURED: a cache, as there is no nginx here", flush=True)
        return parts
    with cached(server, folder) as cache:
        fleet = [Device(cache, number) for number in range(options.devices)]
        parts["cached_at_once"] = show("cached, at once", together(fleet, Device.poll))
        publish(folder, next(seeds))
        time.sleep(CACHED_SECONDS + 2)
        rush = together(fleet, Device.update)
        parts["cached_update_at_once"] = show("cached, update", rush)
    return parts


@dataclass
class Device:
    """A device as the server sees it.

    Attributes:
        server: the address.
        number: its seed.
        release: the number of the release that it has.
    """

    server: str
    number: int
    release: int = 0
    registry: Registry = field(init=False)

    def __post_init__(self):
        self.registry = Registry(self.server)

    def poll(self) -> None:
        self.registry.version(MODEL, ALIAS)

    def update(self) -> None:
        """Poll, and fetch the files of a release that it has not."""
        version = self.registry.version(MODEL, ALIAS)
        release = Release.parse(version.tags[RELEASE_TAG])
        if release.release > self.release:
            with tempfile.TemporaryDirectory() as folder:
                for file in release.files:
                    target = Path(folder, file.name)
                    self.registry.download(version, file.path, target, file.bytes)
                    file.require(target)
            self.release = release.release


@dataclass
class Times:
    """Seconds that requests took, and what failed; many threads add to it."""

    taken: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, ask: Callable[[], None]) -> None:
        begin = time.perf_counter()
        try:
            ask()
        except UserError as error:
            self.failed.append(str(error))
        else:
            self.taken.append(time.perf_counter() - begin)


def closed_loop(server: str, clients: int, seconds: float) -> tuple[Times, float]:
    """A few clients, each asking again as soon as it has its answer."""
    times, begin = Times(), time.monotonic()

    def ask(number: int) -> None:
        device = Device(server, number)
        while time.monotonic() < begin + seconds:
            times.add(device.poll)

    in_threads(ask, range(clients))
    return times, time.monotonic() - begin


def by_jitter(
    fleet: list[Device], do: Callable[[Device], None], period: float, seconds: float
) -> tuple[Times, float]:
    """Every device at its own times, as after a power cut that all of them had."""
    times, begin = Times(), time.monotonic()

    def live(device: Device) -> None:
        waits = PollTimes(period, device.number)
        due = begin + waits.first()
        while due <= begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            times.add(lambda: do(device))
            due = max(due + waits.next(failures=0), time.monotonic())

    in_threads(live, fleet)
    return times, time.monotonic() - begin


def together(fleet: list[Device], do: Callable[[Device], None]) -> tuple[Times, float]:
    """All devices in the same moment, once."""
    times, ready = Times(), threading.Barrier(len(fleet) + 1)

    def ask(device: Device) -> None:
        ready.wait()
        times.add(lambda: do(device))

    with ThreadPoolExecutor(len(fleet)) as threads:
        done = [threads.submit(ask, device) for device in fleet]
        ready.wait()
        begin = time.monotonic()
        for each in done:
            each.result()
    return times, time.monotonic() - begin


def in_threads(do: Callable, of: list | range) -> None:
    with ThreadPoolExecutor(len(of)) as threads:
        list(threads.map(do, of))


def show(name: str, measured: tuple[Times, float]) -> dict[str, float]:
    """Print one line; what it says as numbers."""
    times, seconds = measured
    taken = sorted(times.taken) or [float("nan")]
    found = {
        "requests": len(times.taken),
        "a_second": round(len(times.taken) / seconds, 1),
        "median_ms": round(1000 * statistics.median(taken), 1),
        "p99_ms": round(1000 * taken[int(0.99 * (len(taken) - 1))], 1),
        "seconds": round(seconds, 1),
        "failures": len(times.failed),
    }
    print(f"{name:16}" + "  ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    for reason in sorted(set(times.failed))[:3]:
        print(f"    {times.failed.count(reason)} × {reason}", flush=True)
    return found


def publish(folder: Path, seed: int) -> None:
    """A release of random bytes; the alias moves to it."""
    client, content = MlflowClient(), random.Random(seed)
    files = []
    (folder / str(seed) / "artifacts").mkdir(parents=True)
    for name, size in FILES.items():
        files.append(folder / str(seed) / "artifacts" / name)
        files[-1].write_bytes(content.randbytes(size))
    if not client.search_registered_models(f"name='{MODEL}'"):
        client.create_registered_model(MODEL)
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, str(folder / str(seed)), "model")
    source = f"{run.info.artifact_uri}/model"
    version = client.create_model_version(MODEL, source, run.info.run_id).version
    state_release(MODEL, version, files)
    client.set_registered_model_alias(MODEL, ALIAS, version)


@contextmanager
def served(folder: Path, workers: int) -> Iterator[str]:
    """An MLflow server on loopback that ends with the block."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "kept")]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=variables, stdout=log, stderr=log, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not _healthy(address):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no MLflow server: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.3)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@contextmanager
def cached(server: str, folder: Path) -> Iterator[str]:
    """nginx in front of a server, as docs/updates.md shows it."""
    address = f"http://127.0.0.1:{_free_port()}"
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",  # else it leaves root's folder to www
            listen=address.removeprefix("http://"),
            server=server,
            seconds=CACHED_SECONDS,
        )
    )
    command = ["nginx", "-c", str(configuration), "-p", str(folder), "-e", str(folder / "errors")]
    process = subprocess.Popen(command)
    try:
        while not _healthy(address):
            if process.poll() is not None:
                raise RuntimeError((folder / "errors").read_text()[-2000:])
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _healthy(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=2).ok
    except requests.RequestException:
        return False


if __name__ == "__main__":
    main()

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
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import mlflow

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.fleet_servers import ALIAS, CACHED_SECONDS, FILES, MODEL, cached, publish, served
from benchmarks.machine import machine
from edge.inference.errors import UserError
from edge.update.polling import PollTimes
from edge.update.registry import Registry


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
        """Ask once which release the alias names."""
        self.registry.release(MODEL, ALIAS)

    def update(self) -> None:
        """Poll, and fetch the files of a release that it has not."""
        release = self.registry.release(MODEL, ALIAS)
        if release.release > self.release:
            with tempfile.TemporaryDirectory() as folder:
                for file in release.files:
                    target = Path(folder, file.name)
                    self.registry.download(release, file, target)
                    file.require(target)
            self.release = release.release


@dataclass
class Times:
    """Seconds that requests took, and what failed; many threads add to it."""

    taken: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, ask: Callable[[], None]) -> None:
        """Time a request, or keep why it failed."""
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
    """Do the same for each of some, a thread for each."""
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


if __name__ == "__main__":
    main()

"""The lake's ledger and lease, simulated: every file in the table once, whatever fails.

    python -m benchmarks.ingest_simulation --schedules 10000

Two drivers ingest from one landing zone by the project's own lease and ledger, each again until it
succeeds. A seed decides a schedule: who works next at each operation of the store, which ones are
slow, fail before or after they took effect, or are the driver's last, and when files land. The
clock is simulated, so that a pause of minutes takes no time. Of Delta there is a model: a table
takes the rows of a transaction once. The last line is JSON.
"""

import argparse
import hashlib
import json
import random
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import fsspec
from fsspec import AbstractFileSystem

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # when started by its path

from steps.errors import UserError  # noqa: E402
from steps.lake import lease as lease_module  # noqa: E402
from steps.lake.lease import lease  # noqa: E402
from steps.landing import arrivals as arrivals_module  # noqa: E402
from steps.landing.arrivals import Arrivals, Chunk, Limits  # noqa: E402
from steps.landing.listing import LandedFile  # noqa: E402

NOON = datetime(2026, 7, 13, 12, tzinfo=UTC)
FILES = 6
PATIENCE = 5.0
ATTEMPTS = 4
QUICK, SLOW = (0.001, 0.5), (5.0, 200.0)
"""Seconds of an operation; a slow one may outlast a lease."""


class Crash(BaseException):
    """The driver's process ends: nothing of it runs any more."""


class Strand:
    """A thread that works only when it is switched to, until it switches back."""

    now: "Strand | None" = None

    def __init__(self, work: Callable[[], None]):
        self.is_over, self._work = False, work
        self._turn, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def switch_to(self) -> None:
        """Let it work until it switches back or ends."""
        Strand.now = self
        self._turn.release()
        self._back.acquire()

    def switch_back(self) -> None:
        """Wait, in the strand itself, until it is switched to."""
        self._back.release()
        self._turn.acquire()

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self._work()
        finally:
            self.is_over = True
            self._back.release()


@dataclass
class Driver:
    """A process, with one or more strands."""

    number: int
    host: str
    is_alive: bool = True


@dataclass
class World:
    """A schedule: the clock, the store, the table, and who works next.

    Args:
        seed: decides all.
    """

    seed: int
    now: float = 0.0
    store: dict[str, bytes] = field(default_factory=dict)
    committed: dict[str, list[LandedFile]] = field(default_factory=dict)
    landed: list[LandedFile] = field(default_factory=list)
    faults: bool = True

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.trace = hashlib.sha256()
        self.waiting: list[tuple[float, Strand]] = []
        self.drivers: dict[Strand, Driver] = {}
        # each schedule has faults of its own kinds, so that some are long and others rare
        self.chances = {
            kind: self.random.choice((0.0, 0.02, 0.1)) for kind in ("crash", "fail", "slow")
        }
        self.shares_host = self.random.random() < 0.5

    def spawn(self, driver: Driver, work: Callable[[], None], after: float = 0.0) -> Strand:
        """Let a driver do something beside what it does."""
        made = Strand(lambda: self._run(work))
        self.drivers[made] = driver
        self.waiting.append((self.now + after, made))
        return made

    def _run(self, work: Callable[[], None]) -> None:
        with suppress(Crash):
            work()

    def run(self) -> None:
        """Work until nobody has anything to do."""
        while self.waiting:
            ready = [entry for entry in self.waiting if entry[0] <= self.now]
            if not ready:
                self.now = min(due for due, _ in self.waiting)
                continue
            entry = self.random.choice(ready)
            self.waiting.remove(entry)
            self.trace.update(f"{self.drivers[entry[1]].number},".encode())
            entry[1].switch_to()

    def sleep(self, seconds: float) -> None:
        """Let the others work for so long, at least once."""
        here = Strand.now
        driver, due = self.drivers[here], self.now + seconds
        if all(other > due for other, _ in self.waiting):  # it is next anyway
            self.now = due
        else:
            self.waiting.append((due, here))
            here.switch_back()
        if not driver.is_alive:
            raise Crash

    @property
    def driver(self) -> Driver:
        """Who works now."""
        return self.drivers[Strand.now]

    def operate(self, name: str, effect: Callable[[], Any]) -> Any:
        """Carry out an operation of the store, or of the table, with what may go wrong."""
        fault = self._fault()
        self.trace.update(f"{self.driver.number}{name}{fault};".encode())
        low, high = SLOW if fault == "slow" else QUICK
        delay = self.random.uniform(low, high)
        on_the_way = self.random.choice((0.0, 0.5, 1.0)) * delay
        self.sleep(on_the_way)
        if fault == "fail" and self.random.random() < 0.5:
            raise OSError(f"{name}: the store does not answer")
        result = effect()
        self.sleep(delay - on_the_way)
        if fault == "fail":
            raise OSError(f"{name}: the answer is lost")
        if fault == "crash":
            self.driver.is_alive = False
            raise Crash
        return result

    def _fault(self) -> str:
        if self.faults:
            for kind, chance in self.chances.items():
                if self.random.random() < chance:
                    return kind
        return ""


WORLD: list[World] = []
"""The one of now."""


class SimulatedStore(AbstractFileSystem):
    """An object store: a file is there once it is complete, and may be created exclusively."""

    protocol = "simulated"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(path).removeprefix("simulated://").rstrip("/")

    @staticmethod
    def _operate(name: str, effect: Callable[[], Any]) -> Any:
        return WORLD[-1].operate(name, effect)

    @property
    def _store(self) -> dict[str, bytes]:
        return WORLD[-1].store

    def cat_file(self, path: str, start: Any = None, end: Any = None, **_: Any) -> bytes:
        """Return the bytes of a file."""
        return self._operate("read", lambda: self._get(self._strip_protocol(path)))

    def _get(self, path: str) -> bytes:
        if path not in self._store:
            raise FileNotFoundError(path)
        return self._store[path]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file."""
        self._operate("write", lambda: self._put(self._strip_protocol(path), value, mode))

    def _put(self, path: str, value: bytes, mode: str) -> None:
        if mode == "create" and path in self._store:
            raise FileExistsError(path)
        self._store[path] = value

    def rm_file(self, path: str) -> None:
        """Remove a file."""

        def remove() -> None:
            self._get(self._strip_protocol(path))
            del self._store[self._strip_protocol(path)]

        self._operate("remove", remove)

    def rm(self, path: str, recursive: bool = False, maxdepth: Any = None) -> None:
        """Remove the files of a folder."""
        for name in self.ls(path, False):
            self.rm_file(name)

    def exists(self, path: str, **_: Any) -> bool:
        """Return whether there is a file or a folder."""
        place = self._strip_protocol(path)
        return self._operate(
            "exists", lambda: any(f"{n}/".startswith(f"{place}/") for n in self._store)
        )

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """Return the files of a folder."""
        place = self._strip_protocol(path)
        return self._operate(
            "list", lambda: sorted(n for n in self._store if n.startswith(f"{place}/"))
        )

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return nothing but the name."""
        return {"name": path}

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Stores have no folders."""

    def invalidate_cache(self, path: str | None = None) -> None:
        """Nothing is cached."""

    @contextmanager
    def open(self, path: str, mode: str = "rb", **_: Any) -> Iterator[Any]:
        """Write a file when it is closed, as stores do."""
        written: list[bytes] = []
        yield SimpleNamespace(write=written.append)
        self.pipe_file(path, b"".join(written), mode="create" if "x" in mode else "overwrite")


class Simulation:
    """A schedule from the first file to the check.

    Args:
        seed: of the schedule.
    """

    def __init__(self, seed: int):
        self.world = World(seed)
        self.profile = SimpleNamespace(lake=f"simulated://{seed}")

    def run(self) -> tuple[int, int, str]:
        """Return how many files are lost and doubled, and a hash of what happened."""
        world = self.world
        WORLD[:] = [world]
        arrivals_module._read_chunk.cache_clear()
        self._land(FILES // 2)
        for number in (1, 2):
            self._start(number, attempt=1, after=world.random.uniform(0, 30))
        nature = Driver(0, "nature")
        world.spawn(nature, lambda: self._land(FILES - FILES // 2), world.random.uniform(0, 300))
        world.run()
        world.faults = False
        world.now += 2 * lease_module.SECONDS
        self._start(3, attempt=1, after=0.0)
        world.run()
        rows = Counter(file for files in world.committed.values() for file in files)
        lost = sum(file not in rows for file in world.landed)
        return lost, sum(count - 1 for count in rows.values()), world.trace.hexdigest()

    def _land(self, count: int) -> None:
        for number in range(len(self.world.landed), len(self.world.landed) + count):
            path = f"simulated://landing/{number}.jpg"
            self.world.landed.append(LandedFile(path, 9, NOON + timedelta(seconds=number)))

    def _start(self, number: int, attempt: int, after: float) -> None:
        host = "a" if self.world.shares_host else f"host {number}"
        driver = Driver(10 * number + attempt, host)
        self.world.spawn(driver, lambda: self._drive(driver, number, attempt), after)

    def _drive(self, driver: Driver, number: int, attempt: int) -> None:
        """Ingest as the step does; a driver that ends before it succeeds is started again."""
        has_succeeded = False
        try:
            self._ingest(f"run {driver.number}")
            has_succeeded = True
        except (OSError, UserError):
            pass
        finally:
            driver.is_alive = False  # its process has ended
            if not has_succeeded and attempt < ATTEMPTS and self.world.faults:
                self._start(number, attempt + 1, self.world.random.uniform(0, 90))

    def _ingest(self, run_id: str) -> None:
        world = self.world
        ledger = Arrivals(self.profile, "simulated://landing")
        with lease(ledger.home, run_id, PATIENCE) as held:
            ledger.belong_to("table")
            limits = Limits(files=world.random.choice((1, 2, FILES)), bytes=10**9)
            ledger.process_new(list(world.landed), limits, self._commit, held.require)

    def _commit(self, chunk: Chunk) -> None:
        """Append a chunk's rows to the table; its name commits once."""
        append = self.world.committed.setdefault
        self.world.operate("commit", lambda: append(chunk.name, chunk.files))


class Event:
    """In place of ``threading.Event``."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Let those who wait go on."""
        self.is_set = True

    def wait(self, seconds: float) -> bool:
        """Wait for so long."""
        if not self.is_set:
            WORLD[-1].sleep(seconds)
        return self.is_set


class Thread:
    """In place of ``threading.Thread``."""

    def __init__(self, target: Callable, args: tuple, **_: Any):
        self._work = lambda: target(*args)

    def start(self) -> None:
        """Begin."""
        self._strand = WORLD[-1].spawn(WORLD[-1].driver, self._work)

    def join(self) -> None:
        """Wait for the end."""
        while not self._strand.is_over:
            WORLD[-1].sleep(0.1)


class Lock:
    """In place of ``threading.Lock``."""

    def __init__(self) -> None:
        self._is_held = False

    def __enter__(self) -> None:
        while self._is_held:
            WORLD[-1].sleep(0.01)
        self._is_held = True

    def __exit__(self, *_: object) -> None:
        self._is_held = False


def process(pid: int) -> list[str]:
    """In place of the kernel, which a driver asks on its own host."""
    host = WORLD[-1].driver.host
    is_there = any(d.number == pid and d.is_alive for d in WORLD[-1].drivers.values())
    return [host, "", str(pid)] if is_there else []


@contextmanager
def simulated_machine() -> Iterator[None]:
    """Give lease and ledger the simulated clock, threads, processes and names."""

    clock = SimpleNamespace(
        time=lambda: WORLD[-1].now,
        monotonic=lambda: WORLD[-1].now,
        sleep=lambda seconds: WORLD[-1].sleep(seconds),  # noqa: PLW0108 – of the world of then,
    )
    machine = {
        "time": clock,
        "threading": SimpleNamespace(Event=Event, Thread=Thread, Lock=Lock),
        "os": SimpleNamespace(getpid=lambda: WORLD[-1].driver.number, kill=lambda *_: None),
        "_process": process,
        "socket": SimpleNamespace(gethostname=lambda: WORLD[-1].driver.host),
        "logger": mock.Mock(),
    }
    names = SimpleNamespace(uuid4=lambda: uuid.UUID(int=WORLD[-1].random.getrandbits(128)))
    fsspec.register_implementation("simulated", SimulatedStore, clobber=True)
    with (
        mock.patch.multiple(lease_module, **machine),
        mock.patch.object(arrivals_module, "uuid", names),
    ):
        yield


def simulate(schedules: int, first: int = 0) -> dict[str, Any]:
    """Run schedules until so many distinct ones were seen; return what was lost and doubled."""
    seen: set[str] = set()
    result: dict[str, Any] = {"lost": 0, "doubled": 0, "seeds": []}
    with simulated_machine():
        seed = first
        while len(seen) < schedules:
            lost, doubled, trace = Simulation(seed).run()
            seen.add(trace)
            result["lost"] += lost
            result["doubled"] += doubled
            if lost or doubled:
                result["seeds"].append(seed)
            seed += 1
    return {"schedules": len(seen), **result}


def main() -> None:
    """Print the result as JSON, and fail if a file was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=10_000, help="distinct ones")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    options = parser.parse_args()
    result = simulate(options.schedules, options.seed)
    seeds = result.pop("seeds")
    if seeds:
        print("seeds:", *seeds[:20])
    print(json.dumps(result))
    sys.exit(bool(result["lost"] or result["doubled"]))


if __name__ == "__main__":
    main()

"""A clock that stands still until it is told to go on, and cameras that do as they are told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tiny_model import statement, write_model

from edge.agent.agent import Agent
from edge.agent.clock import EARLIEST
from edge.agent.settings import (
    CaptureSettings,
    LandingSettings,
    PageSettings,
    ScoreSettings,
    Settings,
    StoreSettings,
)
from edge.cameras.camera import CameraSettings, Frame, Shot
from edge.cameras.errors import CameraError, StalledError
from edge.outbox.moment import Moment

NOBODY = "http://127.0.0.1:9"
"""Where no server answers."""

NOON = datetime(2026, 7, 13, 12, tzinfo=UTC)


class FakeClock:
    """The machine was started at ``shown``; the test says how time goes.

    Without a battery it was started at a time of the past, which is set right later.
    """

    def __init__(self, shown: datetime = NOON, boot: str = "first", is_set: bool = True):
        self._shown, self._uptime, self.boot, self._is_set = shown, 100.0, boot, is_set

    def now(self) -> Moment:
        is_synced = self._is_set and self._shown >= EARLIEST
        return Moment(self._shown, self._uptime, self.boot, is_synced)

    def uptime(self) -> float:
        return self._uptime

    def advance(self, seconds: float) -> None:
        self._uptime += seconds
        self._shown += timedelta(seconds=seconds)

    def set_to(self, shown: datetime) -> None:
        self._shown, self._is_set = shown, True

    def restart(self, shown: datetime, is_set: bool = True) -> None:
        self._shown, self._uptime, self.boot = shown, 1.0, f"after {self.boot}"
        self._is_set = is_set


class FakeCamera:
    """Shows a grey image, another one each time; ``fault`` says what goes wrong."""

    model = "imx708"

    def __init__(self, clock: FakeClock, grey: int | None = None):
        self.clock, self.grey, self.fault, self.label = clock, grey, None, None
        self.is_open, self.asked, self.opened, self.number = False, 0, 0, 0

    def open(self) -> None:
        self.asked += 1
        if self.fault == "gone":
            raise CameraError("no camera number 0")
        self.is_open, self.opened = True, self.opened + 1

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        assert self.is_open
        if self.fault == "stalled":
            raise StalledError("no frame within 20 s")
        if self.fault == "gone":
            raise CameraError("it was unplugged")
        self.number += 1
        grey = self.number % 256 if self.grey is None else self.grey
        pixels = np.full((48, 64, 3), grey, np.uint8)
        pixels[0, 0] = self.number % 251, self.number // 251 % 256, 7
        yield Shot.of(Frame(pixels, self.clock.now().wall_time, label=self.label))

    def close(self) -> None:
        self.is_open = False


def settings(tmp_path: Path, **parts) -> Settings:
    """Settings for a test: everything below ``tmp_path``; ``parts`` replace whole tables."""
    landing = tmp_path / "landing"
    landing.mkdir(exist_ok=True)
    return Settings(
        **{
            "device": "a7",
            "landing": LandingSettings(str(landing)),
            "view": "porch",
            "camera": CameraSettings(kind="simulated"),
            "capture": CaptureSettings(period_seconds=60),
            "score": ScoreSettings(),
            "store": StoreSettings(tmp_path / "store", free_megabytes=0),
            "page": PageSettings(port=0),
            **parts,
        }
    )


def agent_of(tmp_path: Path, clock: FakeClock | None = None, **parts) -> Agent:
    """An agent with a fake clock and camera, which a test drives step by step."""
    clock = clock or FakeClock()
    return Agent(settings(tmp_path, **parts), clock, FakeCamera(clock))


def landed(tmp_path: Path) -> list[str]:
    """The names of the images in the landing zone, sorted."""
    return sorted(path.name for path in (tmp_path / "landing").rglob("*.jpg"))


def send_all(agent: Agent) -> None:
    """Let the sender work until nothing is left to do at once."""
    while agent.sender.work():
        pass


def take_frames(agent, clock, count, seconds=1.0):
    for _ in range(count):
        agent.parts.watcher.take_frame()
        clock.advance(seconds)


def live(agent, clock, seconds, step=1.0):
    """What the agent's threads do, in turns."""
    end = clock.uptime() + seconds
    while clock.uptime() < end:
        agent.parts.watcher.take_frame()
        send_all(agent)
        if agent.parts.follower:
            agent.parts.follower.work()
        clock.advance(step)


def place_model(home: Path, steepness: float = 0.05, version: str = "4", **record) -> None:
    """A model's folder as a pull leaves it: the brighter a frame, the surer it is "bright"."""
    folder = write_model(home / version, steepness, **record)
    (folder / "release.json").write_text(json.dumps(statement(folder, home.name, version)))
    (home / "current").symlink_to(version)


def fill_disk(disk: Path) -> None:
    """Fill a disk until a write fails with ``OSError``."""
    with (disk / "others").open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()

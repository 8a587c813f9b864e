"""The devices as they stand: release, last contact, silence, clock."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from steps.ingestion.tables import DEVICES, TIME
from steps.labelling.image_index import ImageIndex
from steps.lake.newest import read_newest
from steps.monitoring.frames import HOUR
from steps.settings.parameters import RELEASED
from steps.settings.profile import Profile

STATUS = pa.schema(
    [
        ("device_id", pa.string()),
        ("reported_at", TIME),
        ("healthy", pa.bool_()),
        ("release", pa.int32()),
        ("model", pa.string()),
        ("model_version", pa.string()),
    ]
)
MINUTE = HOUR // 60
UNKNOWN_RHYTHM = 48 * HOUR
"""Silence that is too long for a device whose images came only once or twice."""
AHEAD = HOUR
NAMELESS = "(no device in the name)"


@dataclass(frozen=True)
class Device:
    """A device of the fleet.

    Attributes:
        name: its ID; empty: of images whose name has none.
        release: the release that it runs, by its last status; None: unknown.
        last_seen: when something of it arrived last, microseconds since 1970.
        is_silent: whether that is longer ago than its rhythm explains.
        clock_ahead: whether its last image was captured after it arrived.
        is_healthy: by its last status; None: unknown.
    """

    name: str
    release: str | None
    last_seen: int
    is_silent: bool
    clock_ahead: bool
    is_healthy: bool | None

    @property
    def title(self) -> str:
        """What people read as its name."""
        return self.name or NAMELESS


def read_fleet(
    profile: Profile, model: str, index: ImageIndex, arrived: NDArray[np.int64], now: datetime
) -> list[Device]:
    """Return the devices that ever sent an image, or a status with this model or none, by name."""
    names_model = pc.field("model").isin([model, model + RELEASED])
    known = pc.field("device_id").is_valid() & (pc.field("model").is_null() | names_model)
    rows = read_newest(DEVICES.path(profile), STATUS, known).to_pylist()
    reported = {row["device_id"]: row for row in rows}
    names, of_image = index.devices
    images = {name: np.flatnonzero(of_image == number) for number, name in enumerate(names)}
    nothing = np.empty(0, int)
    return [
        _device(name, reported.get(name), index, arrived, images.get(name, nothing), now)
        for name in sorted({*names, *reported})
    ]


def _device(
    name: str,
    status: dict[str, Any] | None,
    index: ImageIndex,
    arrived: NDArray[np.int64],
    own: NDArray[np.intp],
    now: datetime,
) -> Device:
    came = np.unique(arrived[own])
    last = int(came[-1]) if len(came) else 0
    newest = own[arrived[own] == last] if len(came) else own
    if status:
        last = max(last, int(status["reported_at"].astimezone(UTC).timestamp() * 1e6))
    silence = now.timestamp() * 1e6 - last
    return Device(
        name=name,
        release=_release(status),
        last_seen=last,
        is_silent=bool(silence > longest_silence(came)),
        clock_ahead=bool((index.times[newest] > arrived[newest] + AHEAD).any()),
        is_healthy=status["healthy"] if status else None,
    )


def longest_silence(arrivals: NDArray[np.int64]) -> float:
    """Return after how many microseconds without images a device is silent.

    Twice the longest pause that it made before, and an hour: of n pauses of one rhythm, the next is
    the longest one with a chance of 1 in n + 1, and twice as long far less often.

    Args:
        arrivals: when images were ingested, in time order.
    """
    pauses = np.diff(arrivals)
    pauses = pauses[pauses > MINUTE]  # one ingest writes its rows over some seconds
    return float(2 * pauses.max() + HOUR) if len(pauses) > 1 else float(UNKNOWN_RHYTHM)


def _release(status: dict[str, Any] | None) -> str | None:
    if not status or status["model_version"] is None:
        return None
    release = status["release"]
    return f"{status['model_version']}" + (f" (release {release})" if release else "")

"""How soon the monitor notices a fault of a simulated camera, and how often an alarm is false.

Each seed is another porch. Its camera trains on 480 frames, one each half hour, as `make run` does,
and then works for a month at the agent's period of ten minutes. Of each two hours, the monitor
compares the frames that it draws; only those are rendered. A fault begins at a random time of the
first week.

    python -m benchmarks.monitoring --seeds 20

`noticed` is the share of faults with an alarm within 200 frames; what else an alarm of the month
without a fault is, is a false one. What was rendered is kept in the folder of --cache.
"""

import argparse
import json
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.cameras.camera import CameraSettings
from edge.cameras.simulated import SimulatedCamera
from edge.inference.prepare import prepare
from steps.labelling.describing import SIDE
from steps.monitoring.changes import find_changes
from steps.monitoring.compared import PER_BLOCK, Watched
from steps.monitoring.detector import BLOCK
from steps.monitoring.frames import HOUR, KEPT, Frames, see

START = datetime(2026, 7, 13, tzinfo=UTC)
TRAINING, TRAINING_PERIOD = 480, 0.5
PERIOD = 1 / 6
"""Hours between two frames of an agent (capture.period_seconds)."""
WITHIN = 200
"""Frames after which a fault has to be noticed."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def moved(frame: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Pan and tilt by about four degrees."""
    return frame.transform((480, 480), Image.Transform.EXTENT, (40, 24, 480, 464), 2)


def fogged(frame: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Breathe on the lens."""
    blurred = frame.filter(ImageFilter.GaussianBlur(2.5))
    grey = Image.new("RGB", frame.size, (int(np.asarray(frame).mean()),) * 3)
    return Image.blend(blurred, grey, 0.5)


def dusk(frame: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Give the sensor less than half of the light, and a red cast."""
    return Image.fromarray((np.asarray(frame) * (0.5, 0.42, 0.4)).astype(np.uint8))


def covered(frame: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Let something dark hang in front of the lens."""
    dark = np.asarray(frame.filter(ImageFilter.GaussianBlur(60))) * 0.12
    noise = np.random.default_rng(int(dark.sum())).normal(8, 2, dark.shape)
    return Image.fromarray((dark + noise).clip(0, 255).astype(np.uint8))


def new_object(frame: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Leave a bin on the porch, as bright as what is around it."""
    x, y = int(rng.uniform(120, 300)), int(rng.uniform(240, 320))
    box = (x, y, x + 75, y + 110)
    light = np.asarray(frame.crop(box)).mean() / 128
    shown, colour = frame.copy(), rng.uniform(30, 150, 3)
    draw = ImageDraw.Draw(shown)
    draw.rectangle(box, tuple(int(c * light) for c in colour))
    draw.rectangle((x - 6, y - 12, x + 81, y + 4), tuple(int(c * light * 0.6) for c in colour))
    draw.rectangle(
        (x + 20, y + 40, x + 55, y + 62), tuple(int(min(230 * light, 255)) for _ in "rgb")
    )
    return shown


FAULTS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image] | None] = {
    "moved": moved,
    "fogged": fogged,
    "dusk": dusk,
    "new object": new_object,
    "covered": covered,
    "clock wrong": None,
}


class Porch:
    """A simulated camera, its training images, a month, and the faults that it may have."""

    def __init__(self, seed: int, days: int, cache: Path):
        self._camera, self.seed = SimulatedCamera(CameraSettings("simulated", seed=seed)), seed
        self._cache, rng = cache, np.random.default_rng([seed, 21])
        training = np.arange(TRAINING) * TRAINING_PERIOD
        begin = training[-1] + 6
        month = begin + np.arange(int(days * 24 / PERIOD)) * PERIOD
        self.training = self.see("training", training)
        self.month_hours = _drawn(month, rng)
        self.fault_hour = begin + rng.uniform(0, min(days - 2, 7) * 24)
        self.month = self.see(f"month-{days}", self.month_hours)

    def see(self, name: str, hours: Any, change: Any = None) -> Frames:
        """Return frames at hours after the start, rendered once and kept."""
        code = zlib.crc32(np.round(hours, 6).tobytes())
        file = self._cache / f"{self.seed}-{name.replace(' ', '-')}-{code:08x}.npy"
        times = [START + timedelta(hours=float(hour)) for hour in hours]
        if not file.exists():
            made = []
            for start in range(0, len(times), 64):
                pixels = [self._pixels(time, change) for time in times[start : start + 64]]
                made.append(see(np.stack(pixels), np.zeros(len(pixels), "S64")))
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.concatenate(made))
        micro = np.array([int(time.timestamp() * 1e6) for time in times], np.int64)
        records = np.load(file)
        if records.dtype != KEPT:
            raise SystemExit(f"{file} is of another version; delete the folder")
        return Frames(micro, records)

    def _pixels(self, time: datetime, change: Any) -> Pixels:
        frame = Image.fromarray(self._camera.at(time.replace(microsecond=0)).pixels)
        if change:
            frame = change(frame, np.random.default_rng([self.seed, 22]))
        return prepare(np.asarray(frame), (SIDE, SIDE))

    def with_fault(self, fault: str) -> Frames:
        """Return the month up to the last frame within which a fault has to be noticed."""
        hours = self.month_hours
        hours = hours[hours < self.fault_hour + WITHIN * PERIOD]
        before = self.month.take(np.arange(len(self.month)) < (hours < self.fault_hour).sum())
        after = hours[hours >= self.fault_hour]
        change = FAULTS[fault]
        broken = self.see(fault, after, change) if change else self.see("as it is", after)
        times = broken.times
        if not change:
            times = times + int(np.random.default_rng([self.seed, 23]).uniform(5, 12) * HOUR)
        both = Frames(
            np.concatenate([before.times, times]), np.concatenate([before.records, broken.records])
        )
        return both.sorted()


def _drawn(hours: Any, rng: np.random.Generator) -> Any:
    """Return the frames that the monitor draws of each block."""
    blocks = (START.timestamp() * 1e6 + hours * HOUR) // BLOCK
    kept = [
        rng.permutation(np.flatnonzero(blocks == block))[:PER_BLOCK] for block in np.unique(blocks)
    ]
    return hours[np.sort(np.concatenate(kept))]


def evaluate(seed: int, days: int, cache: Path, rate: float, faults: list[str]) -> dict[str, Any]:
    """Return which faults of a porch are noticed, when and how, and its month's false alarms."""
    porch = Porch(seed, days, cache)
    false = find_changes(Watched(porch.training, porch.month), rate).alarms
    found: dict[str, Any] = {}
    begin = START.timestamp() * 1e6 + porch.fault_hour * HOUR
    for fault in faults:
        alarms = find_changes(Watched(porch.training, porch.with_fault(fault)), rate).alarms
        after = [alarm for alarm in alarms if alarm.noticed > begin]
        first = min(after, key=lambda alarm: alarm.noticed, default=None)
        frames = (first.noticed - begin) / HOUR / PERIOD if first else None
        found[fault] = {
            "frames": frames and round(frames),
            "tests": [alarm.test for alarm in after],
        }
    return {"seed": seed, "faults": found, "false": [alarm.test for alarm in false]}


def main() -> None:
    """Print each seed's result, and all together as the last line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2, help="porches; 20 for the figures of docs")
    parser.add_argument("--days", type=int, default=30, help="of a month without a fault")
    parser.add_argument(
        "--rate", type=float, default=0.5, help="wanted false alarms a camera-month"
    )
    parser.add_argument("--cache", type=Path, default=Path("data/cache/monitoring-benchmark"))
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    run = partial(
        evaluate,
        days=options.days,
        cache=options.cache,
        rate=options.rate,
        faults=options.faults,
    )
    results = []
    with ProcessPoolExecutor(2) as pool:
        for result in pool.map(run, range(options.seeds)):
            results.append(result)
            print(json.dumps(result), flush=True)
    by_fault = {
        fault: [result["faults"][fault]["frames"] is not None for result in results]
        for fault in options.faults
    }
    shares = {fault: round(float(np.mean(noticed)), 3) for fault, noticed in by_fault.items()}
    months = options.seeds * options.days / 30
    summary = {
        "noticed": min(shares.values()),
        "false_alarms_per_camera_month": sum(len(result["false"]) for result in results) / months,
        "noticed_by_fault": shares,
        "seeds": options.seeds,
        "camera_months": months,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()

"""``python -m edge score``: new frames, scored with the model in use."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from edge.cameras.camera import Frame
from edge.inference.record import ModelRecord
from edge.update.current import CurrentModel


class ScoredFrame(NamedTuple):
    """A frame that the command scored.

    Attributes:
        file: the file's name, or the capture time if the frame is not a file.
        truth: the true class, if it is known.
        label: the predicted class.
        score: its probability, 0–1.
        ms: milliseconds for preparing and scoring.
        version: the model's version.
    """

    file: str
    truth: str | None
    label: str
    score: float
    ms: float
    version: str


def score_frames(
    model: CurrentModel, frames: Iterable[Frame], truth: Mapping[str, str], device: str
) -> Iterator[ScoredFrame]:
    """Score frames one by one, as they come.

    Args:
        model: in use.
        frames: of a camera.
        truth: the true class by file name, as far as it is known and the camera does not know it.
        device: the ID of the device that took the frames.
    """
    for frame in frames:
        (found,) = model.scorer.predict([frame.image], device)
        name = frame.file_name or frame.captured_at.isoformat(timespec="seconds")
        ms = round(found.latency_ms, 2)
        true = frame.label or truth.get(name)
        yield ScoredFrame(name, true, found.label, found.score, ms, model.version)


def print_table(rows: Iterable[ScoredFrame], record: ModelRecord) -> list[ScoredFrame]:
    """Print scored frames as they come, in columns, and return them; the truth if it is known.

    Labels stand with the names that the record has for them.

    A file name longer than its column moves only its own row to the right.
    """
    width = max(len("label"), *(len(record.describe(label)) for label in record.labels))
    printed: list[ScoredFrame] = []
    for row in rows:
        cells = row._asdict() | {"score": f"{row.score:.4f}", "ms": f"{row.ms:.1f}"}
        cells |= {"label": record.describe(row.label), "truth": record.describe(row.truth or "-")}
        if not printed:
            file_width, known = max(len(row.file), len("file")), row.truth is not None
            truth = f"{{truth:<{width}}}  " if known else ""
            line = f"{{file:<{file_width}}}  {truth}{{label:<{width}}}  {{score:>6}}  {{ms:>7}}"
            line += "  {version:>7}"
            print(line.format(**{name: name for name in cells}), flush=True)
        print(line.format(**cells), flush=True)
        printed.append(row)
    return printed


def write_rows(rows: list[ScoredFrame], path: Path) -> None:
    """Write scored frames as a JSON list with an object for each."""
    path.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n", encoding="utf-8")

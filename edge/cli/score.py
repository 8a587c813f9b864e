"""``python -m edge score``: new frames, scored with the model in use."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edge.cameras.camera import Frame
from edge.update.current import CurrentModel


class ScoredFrame(NamedTuple):
    """One scored frame.

    Attributes:
        file: the file's name, or the capture time if the frame is not a file.
        label: the predicted class.
        score: its probability, 0–1.
        ms: milliseconds for preparing and scoring.
        version: the model's version.
    """

    file: str
    label: str
    score: float
    ms: float
    version: str


def score_frames(model: CurrentModel, frames: Iterable[Frame]) -> Iterator[ScoredFrame]:
    """Score frames one by one, as they come."""
    for frame in frames:
        (found,) = model.scorer.predict([frame.image])
        name = frame.file_name or frame.captured_at.isoformat(timespec="seconds")
        ms = round(found.latency_ms, 2)
        yield ScoredFrame(name, found.label, found.score, ms, model.version)


def print_table(rows: Iterable[ScoredFrame], labels: list[str]) -> list[ScoredFrame]:
    """Print scored frames as they come, in columns, and return them.

    A file name longer than its column moves only its own row to the right.
    """
    label_width = max(len("label"), *map(len, labels))
    printed: list[ScoredFrame] = []
    for row in rows:
        if not printed:
            file_width = max(len(row.file), len("file"))
            line = f"{{:<{file_width}}}  {{:<{label_width}}}  {{:>6}}  {{:>7}}  {{:>7}}"
            print(line.format(*ScoredFrame._fields), flush=True)
        score, ms = f"{row.score:.4f}", f"{row.ms:.1f}"
        print(line.format(row.file, row.label, score, ms, row.version), flush=True)
        printed.append(row)
    return printed


def write_rows(rows: list[ScoredFrame], path: Path) -> None:
    """Write scored frames as a JSON list with an object for each."""
    path.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n", encoding="utf-8")

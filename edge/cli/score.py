"""``python -m edge score``: new frames, scored with the model in use."""

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from edge.cameras.camera import Frame
from edge.cli.writing import write_file
from edge.inference.errors import UserError
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


def read_truth(path: Path) -> dict[str, str]:
    """Read the true labels by file name; a number counts as its text.

    Raises:
        UserError: the file is not a JSON object of texts.
    """
    try:
        found = json.loads(path.read_bytes(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):  # not JSON, or not even text
        found = None
    if not isinstance(found, dict) or not all(isinstance(label, str) for label in found.values()):
        raise UserError(f'{path} is not JSON such as {{"1.jpg": "0"}}: a label by file name')
    return found


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
        true = truth.get(name) if frame.label is None else frame.label
        yield ScoredFrame(name, true, found.label, found.score, ms, model.version)


def print_table(rows: Iterable[ScoredFrame], record: ModelRecord) -> None:
    """Print scored frames as they come, in columns; the truth if it is known.

    Labels stand with the names that the record has for them.

    A file name longer than its column moves only its own row to the right.
    """
    width = max(len("label"), *(len(record.describe(label)) for label in record.labels))
    line = ""
    for row in rows:
        cells = row._asdict() | {"score": f"{row.score:.4f}", "ms": f"{row.ms:.1f}"}
        truth = "-" if row.truth is None else record.describe(row.truth)
        cells |= {"label": record.describe(row.label), "truth": truth}
        if not line:
            file_width, known = max(len(row.file), len("file")), row.truth is not None
            column = f"{{truth:<{width}}}  " if known else ""
            line = f"{{file:<{file_width}}}  {column}{{label:<{width}}}  {{score:>6}}  {{ms:>7}}"
            line += "  {version:>7}"
            print(line.format(**{name: name for name in cells}), flush=True)
        print(line.format(**cells), flush=True)


def kept_as_json(
    rows: Iterable[ScoredFrame], path: Path | None
) -> Generator[ScoredFrame, None, None]:
    """Yield scored frames, and write them at the end, also an early one, as a JSON list of objects.

    Without a path, nothing is written. An end before the first frame leaves the file that is there.
    """
    kept: list[ScoredFrame] = []
    try:
        for row in rows:
            kept.append(row)
            yield row
    finally:
        if kept and path:
            content = json.dumps([row._asdict() for row in kept], indent=2) + "\n"
            write_file(path, content.encode())

"""What Spark's workers run leaves a process as it was: they are used again, by any other step."""

import locale
import logging
import os
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import getcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import small_registry
from drawing import drawn, encoded, jpeg
from PIL import Image, ImageFile
from tiny_model import write_model

from edge.inference.region import OTHER_DEVICES, Region
from edge.inference.scoring import Scorer
from steps.dataset.prepared_rows import KEPT, READ, prepare_rows
from steps.ingestion.rows import Rules, build_row
from steps.scoring.worker import _score

CONTENTS = {
    "a JPEG": jpeg(1),
    "a PNG": encoded(drawn(2), "PNG"),
    "a decompression bomb": encoded(Image.new("1", (12_000, 12_000)), "PNG"),
    "more than Pillow opens": encoded(Image.new("1", (12_000, 12_000)), "PNG").replace(
        (12_000).to_bytes(4), (60_000).to_bytes(4)
    ),
    "a truncated JPEG": jpeg(3)[:300],
    "damaged EXIF": encoded(drawn(4), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01"),
    "no image": b"hello",
    "nothing": b"",
}


PREPARED = {"input_size": (8, 8), "regions": {OTHER_DEVICES: Region(0.5, 0.5, 0.5, 0.5)}}
SELECTION = small_registry.SELECTION.model_copy(update=PREPARED)


def _ingested(content: bytes, folder: Path) -> None:
    file = {"path": "file:/zone/a.jpg", "bytes": 1, "modified_at": datetime.now(UTC)}
    for statistics in ("full", "sampled"):
        rules = Rules("file:/zone", r"(?P<time>\d+)_", statistics=statistics)
        build_row(file | {"content": content or b"\0"}, rules)


def _cached(content: bytes, folder: Path) -> None:
    row = dict.fromkeys((*KEPT, *READ.names)) | {"content": content}
    batch = pa.RecordBatch.from_pylist([row])
    try:
        list(prepare_rows(iter([batch]), SELECTION))
    except ValueError:
        assert content not in (CONTENTS["a JPEG"], CONTENTS["a PNG"])


def _scored(content: bytes, folder: Path) -> None:
    _score(
        Scorer(write_model(folder), threads=1),
        [{"path": "a", "device_id": None, "content": content}],
    )


def _state() -> dict[str, object]:
    """The settings of this process that change what any code in it does."""
    os.umask(mask := os.umask(0))
    loggers = [logging.root, *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return {
        "Pillow's pixels": Image.MAX_IMAGE_PIXELS,
        "Pillow's truncated images": (ImageFile.LOAD_TRUNCATED_IMAGES, ImageFile.MAXBLOCK),
        "warnings": list(warnings.filters),
        "how warnings are shown": warnings.showwarning,
        "log levels": {one.name: one.level for one in loggers if one.level},
        "log handlers": list(logging.root.handlers),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "file mode": mask,
        "locale": locale.setlocale(locale.LC_ALL),
        "NumPy's errors": np.geterr(),
        "NumPy's random numbers": np.random.get_state()[1].tolist(),
        "decimal numbers": str(getcontext()),
        "cores": os.sched_getaffinity(0),
        "Arrow's threads": (pa.cpu_count(), pa.io_thread_count()),
    }


@pytest.mark.parametrize("work", [_ingested, _cached, _scored])
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_work_on_an_image_changes_no_setting_of_its_process(
    work: Callable[[bytes, Path], None], content, tmp_path
):
    before, threads = _state(), set(threading.enumerate())
    work(content, tmp_path)
    after = _state()
    assert {name for name in before if before[name] != after[name]} == set()
    assert set(threading.enumerate()) <= threads  # others may have ended meanwhile

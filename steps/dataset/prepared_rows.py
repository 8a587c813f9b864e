"""The rows of a Petastorm cache: an image's pixels as a network gets them, and what audits read."""

from collections.abc import Iterator

import pyarrow as pa

from edge.inference.prepare import prepare
from edge.inference.region import region_of
from steps.dataset.outside import describe_outside
from steps.ingestion.image_metadata import jpeg_step
from steps.pipeline.outputs import Selection

READ = pa.schema(
    {name: pa.string() for name in ("path", "sha256", "camera_make", "camera_model")}
    | {name: pa.int32() for name in ("width", "height", "iso")}
    | {"bytes": pa.int64(), "exposure_seconds": pa.float64(), "content": pa.binary()}
)
"""Columns of ``images``; those of the plan are the device, the time and the place in the cache."""

FILE = ("bytes", "width", "height", "exposure_seconds", "iso")
"""What the audit reads of them."""
KEPT = ("sha256", "path", "device_id", "captured_at", "split", "row_group", "label", *FILE)
COLUMNS = (
    "sha256 STRING, path STRING, device_id STRING, captured_at TIMESTAMP, split STRING, "
    "row_group BIGINT, label INT, bytes BIGINT, width INT, height INT, "
    "exposure_seconds DOUBLE, iso INT, camera STRING, jpeg_step DOUBLE, "
    "outside BINARY, pixels BINARY"
)


def prepare_rows(
    batches: Iterator[pa.RecordBatch], selection: Selection
) -> Iterator[pa.RecordBatch]:
    """Yield ``COLUMNS`` of images.

    Args:
        batches: ``READ``, device_id, captured_at, split, row_group and label.
        selection: says how they are prepared.
    """
    size, resizing = selection.input_size, selection.resizing
    for batch in batches:
        contents = [content.as_py() for content in batch["content"]]
        regions = [region_of(selection.regions, one.as_py()) for one in batch["device_id"]]
        pixels = (
            prepare(content, size, resizing, region).tobytes()
            for content, region in zip(contents, regions, strict=True)
        )
        makers, models = (batch[f"camera_{of}"].to_pylist() for of in ("make", "model"))
        cameras = (" ".join(filter(None, one)) for one in zip(makers, models, strict=True))
        columns = {name: batch[name] for name in KEPT} | {
            "camera": pa.array(cameras, pa.string()),
            "jpeg_step": pa.array(map(jpeg_step, contents), pa.float64()),
            "outside": pa.array(map(describe_outside, contents, regions), pa.binary()),
            "pixels": pa.array(pixels, pa.binary()),
        }
        yield pa.RecordBatch.from_pydict(columns)

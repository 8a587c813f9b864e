"""What a user of Daft writes to get images into Delta.

python daft_ingest.py <folder> <table>
"""

import hashlib
import io
import sys

import daft
from daft import DataType, Series, col
from daft.functions import download
from PIL import Image, ImageStat

FIELDS = {
    "sha256": DataType.string(),
    "bytes": DataType.int64(),
    "format": DataType.string(),
    "mode": DataType.string(),
    "width": DataType.int64(),
    "height": DataType.int64(),
    "exif": DataType.string(),
    "entropy": DataType.float64(),
    "mean": DataType.list(DataType.float64()),
    "median": DataType.list(DataType.int64()),
    "stddev": DataType.list(DataType.float64()),
    "histogram": DataType.list(DataType.int64()),
}


@daft.func.batch(return_dtype=DataType.struct(FIELDS), unnest=True, use_process=True)
def describe(contents: Series) -> list[dict]:
    return [describe_one(content) for content in contents.to_pylist()]


def describe_one(content: bytes) -> dict:
    with Image.open(io.BytesIO(content)) as image:
        found = ImageStat.Stat(image)
        return {
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "format": image.format,
            "mode": image.mode,
            "width": image.width,
            "height": image.height,
            "exif": str(dict(image.getexif())),
            "entropy": image.entropy(),
            "mean": found.mean,
            "median": found.median,
            "stddev": found.stddev,
            "histogram": image.histogram(),
        }


if __name__ == "__main__":
    images = daft.from_glob_path(f"{sys.argv[1]}/*.jpg").with_column(
        "content", download(col("path"))
    )
    described = images.into_batches(64).select("path", "content", describe(col("content")))
    described.write_deltalake(sys.argv[2], mode="append")

"""What a user writes to get images into Delta: multiprocessing, Pillow, deltalake.

python plain_ingest.py <folder> <table>
"""

import hashlib
import sys
from datetime import UTC, datetime
from multiprocessing import Pool
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake
from PIL import Image, ImageStat


def describe(path: Path) -> dict:
    content = path.read_bytes()
    with Image.open(path) as image:
        exif = {str(key): str(value) for key, value in image.getexif().items()}
        found = ImageStat.Stat(image)
        return {
            "path": str(path),
            "file_name": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "modified_at": datetime.fromtimestamp(path.stat().st_mtime, UTC),
            "label": path.stem[-1],
            "format": image.format,
            "mode": image.mode,
            "width": image.width,
            "height": image.height,
            "exif": str(exif),
            "entropy": image.entropy(),
            "mean": found.mean,
            "median": found.median,
            "stddev": found.stddev,
            "extrema": [list(pair) for pair in found.extrema],
            "histogram": image.histogram(),
            "content": content,
        }


if __name__ == "__main__":
    files = sorted(Path(sys.argv[1]).glob("*.jpg"))
    with Pool() as pool:
        for start in range(0, len(files), 1000):
            rows = pool.map(describe, files[start : start + 1000], chunksize=16)
            write_deltalake(sys.argv[2], pa.Table.from_pylist(rows), mode="append")

"""Where an image is left: in bytes, as a JPEG in them or in Base64, or as pixels in Parquet."""

import base64
import binascii
import io
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

MARK = b"PLANTED-4711"
MAGENTA = (255, 0, 255)


def planted() -> bytes:
    """A JPEG that is all magenta, which nothing else here is, with a mark in its EXIF."""
    exif = Image.Exif()
    exif[0x010E] = MARK.decode()
    file = io.BytesIO()
    Image.new("RGB", (64, 48), MAGENTA).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def pixels() -> bytes:
    """Its pixels, as a cache has them."""
    return np.full((32, 32, 3), MAGENTA, np.uint8).tobytes()


def traces(home: Path) -> list[str]:
    """The files below a folder that hold the image."""
    files = (path for path in sorted(home.rglob("*")) if path.is_file())
    return [str(path.relative_to(home)) for path in files if _has(path)]


def _has(path: Path) -> bool:
    content = path.read_bytes()
    texts = [content]
    for found in re.finditer(rb"/9j/[A-Za-z0-9+/]+=*", content):
        try:
            texts.append(base64.b64decode(found[0]))
        except binascii.Error:
            continue
    if path.suffix == ".parquet" and "_delta_log" not in path.parts:
        for column in pq.ParquetFile(path).read().columns:
            texts += [value for value in column.to_pylist() if isinstance(value, bytes)]
    return any(_is_it(text) for text in texts)


def _is_it(content: bytes) -> bool:
    if MARK in content or pixels() in content:
        return True
    return any(
        _is_magenta(content[found.start() :]) for found in re.finditer(rb"\xff\xd8\xff", content)
    )


def _is_magenta(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            mean = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
    except OSError:
        return False
    return bool(np.abs(mean - MAGENTA).max() < 40)

"""Malformed files from a seed, each with what an ingest has to make of it."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from drawing import drawn, encoded, file_name
from PIL import ExifTags, Image

IMAGE = "image"
"""Stands beside the reasons: the file has to become a row of ``images``."""

UNREADABLE = {"not an image", "truncated", "damaged", "decompression bomb"}
FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}
SHORTEST_CUT, LAST_BYTES = 30, 20

NO_IMAGES = (
    b"<html><title>404 Not Found</title></html>",
    b'{"error": "no such camera"}',
    b"PK\3\4" + b"\0" * 60,
    b"\0" * 500,
    b"\x1f\x8b\x08\0" + b"log" * 40,
    b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
)


class Malformed(NamedTuple):
    """A file: its kind, its path below the landing zone, its bytes, the outcomes that are right.

    ``exif_error`` is whether a row of ``images`` has to say that the EXIF is broken.
    """

    kind: str
    name: str
    content: bytes
    outcomes: set[str]
    exif_error: bool = False


def malformed(seed: int, of_each: int) -> Iterator[Malformed]:
    """As many files of each kind, one kind after the other, each under a name that fits."""
    rng = random.Random(seed)
    for kind, make in KINDS.items():
        for number in range(of_each):
            content, given = make(rng, number)
            fits = file_name(hour=number % 24, device=f"{kind}-{number}".replace("_", "-"))
            yield Malformed(
                kind,
                given.get("name", fits),
                content,
                given.get("outcomes", {kind}),
                given.get("exif_error", False),
            )


def _image(rng: random.Random, format: str = "JPEG", **options) -> bytes:
    return encoded(drawn(rng.randrange(10**6)), format, **options)


def _empty(rng: random.Random, number: int) -> tuple[bytes, dict]:
    return b"", {}


def _no_image(rng: random.Random, number: int) -> tuple[bytes, dict]:
    return NO_IMAGES[number % len(NO_IMAGES)] + str(rng.random()).encode(), {}


def _truncated(rng: random.Random, number: int) -> tuple[bytes, dict]:
    whole = _image(rng, list(FORMATS)[number % len(FORMATS)])
    return whole[: rng.randrange(SHORTEST_CUT, len(whole) - LAST_BYTES)], {}


def _damaged(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """Nothing is missing at the end, but what says how to read the pixels is wrong."""
    format = list(FORMATS)[number % len(FORMATS)]
    content = bytearray(_image(rng, format))
    if format == "JPEG":  # no such precision of samples
        content[content.index(b"\xff\xc0") + 4] = rng.randrange(33, 256)
    elif format == "PNG":  # a checksum that does not fit
        content[content.index(b"IDAT") - 5] ^= rng.randrange(1, 256)
    elif format == "WEBP":  # a frame without its start code
        start = content.index(b"VP8 ") + 8
        content[start : start + 10] = bytes(10)
    else:  # no such number of bits a pixel
        content[28:30] = struct.pack("<H", rng.randrange(33, 2**16))
    return bytes(content), {}


def _bomb(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """A few bytes that claim to be gigapixels."""
    side = rng.randrange(10_001, 65_000)
    if number % 3 == 0:
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        pixels = _png_chunk(b"IDAT", zlib.compress(bytes(100)))
        return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + pixels, {}
    content = bytearray(_image(rng, "JPEG" if number % 3 == 1 else "BMP"))
    if number % 3 == 1:
        start = content.index(b"\xff\xc0") + 5
        content[start : start + 4] = struct.pack(">HH", side, side)
    else:
        content[18:26] = struct.pack("<ii", side, side)
    return bytes(content), {}


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _name(rng: random.Random, number: int) -> tuple[bytes, dict]:
    return _image(rng), {"outcomes": {IMAGE}, "name": f"IMG_{number}.jpg"}


def _future(rng: random.Random, number: int) -> tuple[bytes, dict]:
    year = rng.randrange(2100, 10_000)
    if number % 2:
        exif = Image.Exif()
        exif[ExifTags.Base.DateTime] = f"{year}:02:03 04:05:06"
        # the file's own time is the best valid one
        return _image(rng, exif=exif), {"name": f"later/IMG_{number}.jpg", "outcomes": {IMAGE}}
    name = file_name(device=f"future-{number}").replace("2026-", f"{year}-", 1)
    return _image(rng), {"name": name}


def _broken_exif(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """The image is whole, and its EXIF is no EXIF, or ends too soon."""
    broken = [
        b"Exif\0\0" + b"not TIFF" + rng.randbytes(20),
        b"Exif\0\0" + b"II*\0",
        b"Exif\0\0" + b"MM\0*\0\0",
    ][number % 3]
    format = ("JPEG", "WEBP")[number % 2]
    return _image(rng, format, exif=broken), {"outcomes": {IMAGE}, "exif_error": True}


def _odd_exif(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """What EXIF may say, but no camera should."""
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = ("0001:01:01 00:00:00", "0000:00:00 00:00:00", "9:9:9")[
        number % 3
    ]
    exif[ExifTags.Base.Make] = "\udcff\0" + "x" * rng.randrange(1000)
    exif[ExifTags.Base.Orientation] = rng.randrange(9, 2**16)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 2**32 - 1
    return _image(rng, exif=exif), {"outcomes": {IMAGE}, "name": f"odd exif/{number}.jpg"}


def _odd_name(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """An image that is whole, under a path that is hard to quote."""
    odd = ("a%20b", "#?&", "[0-9]", "{a,b}", "it's", '"', "\\", "\n", "\u2028", "ü", "🦊", "a:b")
    name = f"odd {odd[number % len(odd)]}/{odd[number % len(odd)]}{number}.JPG"
    return _image(rng), {"outcomes": {IMAGE}, "name": name}


def _mutated(rng: random.Random, number: int) -> tuple[bytes, dict]:
    """Bytes that a failing memory report changed: readable or not, either is right."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Raspberry Pi"
    content = bytearray(_image(rng, exif=exif))
    for _ in range(rng.randrange(1, 6)):
        content[rng.randrange(2, len(content))] = rng.randrange(256)
    return bytes(content), {"outcomes": {IMAGE} | UNREADABLE}


KINDS: dict[str, Callable[[random.Random, int], tuple[bytes, dict]]] = {
    "empty": _empty,
    "not an image": _no_image,
    "truncated": _truncated,
    "damaged": _damaged,
    "decompression bomb": _bomb,
    "name": _name,
    "from the future": _future,
    "broken exif": _broken_exif,
    "odd exif": _odd_exif,
    "odd name": _odd_name,
    "mutated": _mutated,
}

"""The metadata of images, and the reason of those that cannot be read."""

import io
import math
import struct
import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from drawing import drawn, encoded, jpeg
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from edge.inference.errors import UnreadableError
from edge.inference.image import MAX_BYTES
from edge.inference.prepare import prepare
from steps.ingestion.image_metadata import describe, jpeg_step

REASONS = {"empty", "not an image", "truncated", "damaged", "decompression bomb"}


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Raspberry Pi"
    exif[ExifTags.Base.Model] = "imx708\0"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:07:13 12:30:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"\1\2" * 40
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef] = "S"
    gps[ExifTags.GPS.GPSLatitude] = (IFDRational(33), IFDRational(30), IFDRational(36))
    gps[ExifTags.GPS.GPSLongitudeRef] = "E"
    gps[ExifTags.GPS.GPSLongitude] = (IFDRational(18), IFDRational(15), IFDRational(0))
    gps[ExifTags.GPS.GPSAltitude] = IFDRational(101, 2)
    return exif


@pytest.mark.parametrize(
    ("mode", "format", "bands"),
    [
        ("RGB", "JPEG", "RGB"),
        ("L", "JPEG", "L"),
        ("CMYK", "JPEG", "CMYK"),
        ("RGB", "PNG", "RGB"),
        ("L", "PNG", "L"),
        ("LA", "PNG", "LA"),
        ("RGBA", "PNG", "RGBA"),
        ("RGB", "WEBP", "RGB"),
        ("CMYK", "TIFF", "CMYK"),
        ("RGB", "BMP", "RGB"),
    ],
)
def test_statistics_are_those_of_all_pixels(mode, format, bands):
    content = encoded(drawn(5, mode), format)
    found = describe(content)
    pixels = np.asarray(Image.open(io.BytesIO(content))).reshape(-1, len(bands))
    assert (found["format"], found["mode"]) == (format, mode)
    assert (found["width"], found["height"]) == (33, 31)
    assert [band["band"] for band in found["statistics"]] == list(bands)
    for band, values, histogram in zip(
        found["statistics"], pixels.T, found["histogram"], strict=True
    ):
        assert band["mean"] == pytest.approx(values.mean())
        assert band["stddev"] == pytest.approx(values.std())
        assert band["median"] == np.median(values)
        assert (band["min"], band["max"]) == (values.min(), values.max())
        assert histogram == np.bincount(values, minlength=256).tolist()


def test_a_palette_is_described_by_its_colours():
    image = drawn(6).quantize(16)
    found = describe(encoded(image, "PNG"))
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert found["mode"] == "P"
    assert [band["mean"] for band in found["statistics"]] == pytest.approx(colours.mean(axis=0))


def test_sixteen_bits_and_one_bit_are_described_as_grey():
    deep = Image.fromarray(np.linspace(0, 255, 33 * 31).astype(np.uint16).reshape(31, 33))
    found = describe(encoded(deep, "PNG"))
    assert found["mode"].startswith("I")
    assert [band["band"] for band in found["statistics"]] == ["L"]
    assert sum(found["histogram"][0]) == 33 * 31
    flat = describe(encoded(drawn(1, "L").convert("1", dither=Image.Dither.NONE), "PNG"))
    assert (flat["statistics"][0]["min"], flat["statistics"][0]["max"]) == (0, 255)


@pytest.mark.parametrize(("colours", "bits"), [(1, 0), (2, 1), (8, 3)])
def test_entropy_is_in_bits(colours, bits):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) % colours
    assert describe(encoded(Image.fromarray(pixels), "PNG"))["entropy"] == pytest.approx(bits)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_swaps_the_sides_of_a_rotated_image(orientation):
    found = describe(jpeg(1, exif=_exif(orientation)))
    assert (found["width"], found["height"]) == (33, 31)
    oriented = found["oriented_width"], found["oriented_height"]
    assert oriented == ((31, 33) if orientation >= 5 else (33, 31))


def test_a_jpeg_of_lower_quality_has_larger_steps():
    steps = [jpeg_step(jpeg(1, quality=quality)) for quality in (95, 75, 30)]
    assert steps == sorted(steps) and 1 < steps[0] < steps[2] < 255
    assert jpeg_step(encoded(drawn(1), "PNG")) is None


def test_exif_is_read():
    found = describe(jpeg(1, exif=_exif(), dpi=(72, 72)))
    assert (found["camera_make"], found["camera_model"]) == ("Raspberry Pi", "imx708")
    assert found["exif_captured_at"] == datetime(2026, 7, 13, 12, 30, 5, tzinfo=UTC)
    assert found["gps"] == pytest.approx({"latitude": -33.51, "longitude": 18.25, "altitude": 50.5})
    assert found["dpi"] == 72
    assert found["exif"]["MakerNote"] == f"80 bytes: {'0102' * 8}"
    assert all(isinstance(value, str) for value in found["exif"].values())


def test_missing_metadata_is_none():
    found = describe(encoded(drawn(1), "PNG"))
    for key in ("camera_make", "camera_model", "gps", "exif_captured_at", "dpi"):
        assert found[key] is None
    assert found["exif"] == {}


def _png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 100, "not an image"),
        (b"<html>404</html>", "not an image"),
        (b"\xff\xd8", "not an image"),
        (b"\xff\xd8\xff\xe0", "truncated"),
        (_png_of_size(60_000, 60_000), "decompression bomb"),
        (_png_of_size(10_001, 10_000), "decompression bomb"),
        (_png_of_size(9460, 9459), "decompression bomb"),
        (_png_of_size(9459, 9459), "truncated"),
        (bytes(MAX_BYTES + 1), "too large"),
        (bytes(MAX_BYTES), "not an image"),
        (_png_of_size(40, 40), "truncated"),
        (_png_of_size(40, 40)[:-12], "truncated"),
    ],
)
def test_an_unreadable_file_has_a_reason(content, reason):
    with pytest.raises(UnreadableError) as caught:
        describe(content)
    assert caught.value.reason == reason and str(caught.value)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_truncated_image_is_never_accepted(format):
    whole = encoded(drawn(3), format)
    reasons = []
    for end in range(1, len(whole) - 20, max(1, len(whole) // 150)):
        with pytest.raises(UnreadableError) as caught:
            describe(whole[:end])
        reasons.append(caught.value.reason)
    assert set(reasons) == {"not an image", "truncated"}
    assert reasons[-1] == "truncated"


@pytest.mark.filterwarnings("ignore:.*(EXIF|Read):UserWarning")
@pytest.mark.parametrize("where", ["anywhere", "exif"])
def test_damaged_bytes_are_described_and_can_be_prepared_or_are_unreadable(where):
    whole = jpeg(4, exif=_exif())
    end = whole.index(b"\xff\xdb") if where == "exif" else len(whole)
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(400):
        damaged = bytearray(whole)
        for place in rng.integers(2, end, rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        try:
            statistics = describe(bytes(damaged))["statistics"]
            assert all(math.isfinite(band["mean"]) for band in statistics)
            assert prepare(bytes(damaged), (8, 8)).shape == (8, 8, 3)
            outcomes.add("described")
        except UnreadableError as error:
            outcomes.add(error.reason)
    assert "described" in outcomes and outcomes <= REASONS | {"described"}

"""EXIF metadata becomes columns, in every hemisphere, intact and damaged."""

import io
from datetime import UTC, datetime

import pytest
from drawing import drawn, encoded
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from steps.ingestion.exif import LONGEST_TEXT, read_exif
from steps.ingestion.image_metadata import describe

BASE, GPS = ExifTags.Base, ExifTags.GPS
NOON = "2026:07:13 12:30:05"
FORMATS = ["JPEG", "PNG", "WEBP"]


def _exif(base=None, inner=None, gps=None) -> Image.Exif:
    exif = Image.Exif()
    exif.update({BASE.ImageWidth: 33} | (base or {}))  # Pillow writes a PNG's if it has a tag
    exif.get_ifd(ExifTags.IFD.Exif).update(inner or {})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    return exif


def _written(format: str = "JPEG", **exif) -> Image.Image:
    content = encoded(drawn(1), format, exif=_exif(**exif))
    image = Image.open(io.BytesIO(content))
    image.load()  # a PNG's may stand behind its pixels
    return image


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("base", "inner", "column", "value"),
    [
        ({BASE.Make: "Raspberry Pi"}, {}, "camera_make", "Raspberry Pi"),
        ({BASE.Model: " imx708\0 "}, {}, "camera_model", "imx708"),
        ({}, {BASE.ExposureTime: IFDRational(1, 50)}, "exposure_seconds", 0.02),
        ({}, {BASE.ExposureTime: IFDRational(1, 0)}, "exposure_seconds", None),
        ({}, {BASE.ISOSpeedRatings: 400}, "iso", 400),
        ({}, {BASE.ISOSpeedRatings: (400, 800)}, "iso", 400),
        ({BASE.Orientation: 8}, {}, "orientation", 8),
        ({BASE.Orientation: 9}, {}, "orientation", 1),
        ({BASE.Orientation: 0}, {}, "orientation", 1),
    ],
)
def test_a_tag_becomes_a_column(format, base, inner, column, value):
    found = read_exif(_written(format, base=base, inner=inner))
    assert found[column] == pytest.approx(value) and found["exif_error"] is None


@pytest.mark.parametrize(
    ("inner", "minutes", "expected"),
    [
        ({BASE.DateTimeOriginal: NOON}, None, datetime(2026, 7, 13, 12, 30, 5)),
        ({BASE.OffsetTimeOriginal: "+02:00"}, 120, datetime(2026, 7, 13, 10, 30, 5)),
        ({BASE.OffsetTimeOriginal: "-09:30"}, -570, datetime(2026, 7, 13, 22, 0, 5)),
        ({BASE.OffsetTime: "+14:00"}, 840, datetime(2026, 7, 12, 22, 30, 5)),
        ({BASE.OffsetTimeOriginal: "+00:00"}, 0, datetime(2026, 7, 13, 12, 30, 5)),
        ({BASE.OffsetTimeOriginal: "+01:00", BASE.OffsetTime: "+05:00"}, 60,
         datetime(2026, 7, 13, 11, 30, 5)),
        ({BASE.OffsetTimeOriginal: "+25:00"}, None, datetime(2026, 7, 13, 12, 30, 5)),
        ({BASE.OffsetTimeOriginal: "CEST"}, None, datetime(2026, 7, 13, 12, 30, 5)),
    ],
)  # fmt: skip
def test_a_time_is_utc_by_its_offset(inner, minutes, expected):
    found = read_exif(_written(inner={BASE.DateTimeOriginal: NOON} | inner))
    assert found["exif_captured_at"] == expected.replace(tzinfo=UTC)
    assert found["utc_offset_minutes"] == minutes


def test_the_original_time_precedes_the_time_of_change():
    later = {BASE.DateTime: "2026:08:01 00:00:00"}
    assert read_exif(_written(base=later))["exif_captured_at"].month == 8
    found = read_exif(_written(base=later, inner={BASE.DateTimeOriginal: NOON}))
    assert found["exif_captured_at"].month == 7


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("0000:00:00 00:00:00", ""),
        ("2026:02:30 00:00:00", ""),
        ("now", ""),
        ("", ""),
        ("0001:01:01 00:00:00", "+14:00"),
        ("9999:12:31 23:59:59", "-14:00"),
    ],
)
def test_an_invalid_time_is_none(text, offset):
    inner = {BASE.DateTimeOriginal: text, BASE.OffsetTimeOriginal: offset}
    found = read_exif(_written(inner=inner))
    assert found["exif_captured_at"] is None and found["exif_error"] is None


def _parts(degrees=33, minutes=30, seconds=36):
    return tuple(IFDRational(part) for part in (degrees, minutes, seconds))


def _place(latitude="N", longitude="E", **other) -> dict:
    return {
        GPS.GPSLatitude: _parts(),
        GPS.GPSLatitudeRef: latitude,
        GPS.GPSLongitude: _parts(18, 15, 0),
        GPS.GPSLongitudeRef: longitude,
    } | {GPS[key]: value for key, value in other.items()}


@pytest.mark.parametrize(("north", "latitude"), [("N", 33.51), ("S", -33.51)])
@pytest.mark.parametrize(("east", "longitude"), [("E", 18.25), ("W", -18.25)])
@pytest.mark.parametrize(("above", "altitude"), [(b"\0", 50.5), (b"\1", -50.5)])
@pytest.mark.parametrize("format", FORMATS)
def test_a_place_has_its_hemispheres_and_its_height(
    format, north, latitude, east, longitude, above, altitude
):
    gps = _place(north, east, GPSAltitude=IFDRational(101, 2), GPSAltitudeRef=above)
    found = read_exif(_written(format, gps=gps))
    place = {"latitude": latitude, "longitude": longitude, "altitude": altitude}
    assert found["gps"] == pytest.approx(place)


def test_a_place_needs_no_altitude_but_both_coordinates():
    assert read_exif(_written(gps=_place()))["gps"]["altitude"] is None
    half = {key: value for key, value in _place().items() if key != GPS.GPSLongitude}
    assert read_exif(_written(gps=half))["gps"] is None
    beyond = _place(GPSLatitude=_parts(181))
    assert read_exif(_written(gps=beyond))["gps"] is None
    nowhere = _place(GPSLongitude=(IFDRational(1, 0), IFDRational(0), IFDRational(0)))
    assert read_exif(_written(gps=nowhere))["gps"] is None


def test_a_place_is_not_among_the_readable_strings():
    found = read_exif(_written(base={BASE.Make: "x"}, gps=_place()))
    assert "GPSInfo" not in found["exif"] and found["exif"]["Make"] == "x"


def test_values_are_readable_strings():
    long = "x" * (LONGEST_TEXT + 50)
    found = read_exif(
        _written(
            base={BASE.Make: "a\1b\nc\0", BASE.Software: long, 60000: 7},
            inner={BASE.MakerNote: bytes(range(40)), BASE.FNumber: IFDRational(28, 10)},
        )
    )["exif"]
    assert (found["Make"], found["60000"], found["FNumber"]) == ("abc", "7", "2.8")
    assert found["Software"] == long[:LONGEST_TEXT]
    assert found["MakerNote"] == f"40 bytes: {bytes(range(16)).hex()}"


def test_every_string_can_be_encoded_as_utf_8():
    image = drawn(1)
    image.getexif()[BASE.Make] = "half of a \ud83e fox"
    found = read_exif(image)
    assert found["camera_make"] == "half of a ? fox"
    assert all(text.encode() for text in found["exif"].values())


WHOLE = _exif({BASE.Make: "Raspberry Pi", BASE.Software: "x" * 60}).tobytes()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "broken",
    [
        b"Exif\0\0no TIFF at all",
        b"Exif\0\0II*\0",
        b"Exif\0\0MM\0*\0\0",
        WHOLE[:-40],
        WHOLE.replace(b"II*\0\x08\0", b"II*\0\xff\xff", 1).replace(b"MM\0*\0\0\0\x08",
                                                                b"MM\0*\0\0\xff\xff", 1),
    ],
    ids=["no TIFF", "header only", "half a header", "truncated", "points nowhere"],
)  # fmt: skip
def test_damaged_exif_is_reported_and_the_image_is_accepted(format, broken):
    found = describe(encoded(drawn(1), format, exif=broken))
    assert found["exif_error"] and "\n" not in found["exif_error"]
    assert len(found["exif_error"]) <= LONGEST_TEXT
    assert (found["format"], found["width"], found["height"]) == (format, 33, 31)
    assert [len(band) for band in found["histogram"]] == [256] * 3
    assert found["gps"] is None and found["exif_captured_at"] is None


def test_tags_before_the_damage_are_kept():
    found = describe(encoded(drawn(1), exif=WHOLE[:-40]))
    assert found["camera_make"] == "Raspberry Pi" and "Software" not in found["exif"]

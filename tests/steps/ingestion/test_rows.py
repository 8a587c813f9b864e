"""The row of one file under the settings of an ingest."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from drawing import drawn, encoded, file_name
from PIL import ExifTags, Image

from edge.inference.region import Region
from edge.protocol.erased import Erased
from steps.ingestion.rows import ERASED, Rules, build_row

NAMED = r"(?P<time>[^_]+)_rpi_sensor_(?P<device>[^_]+)_(?P<view>[^_]+)(_(?P<label>[^_.]+))?\."


@pytest.mark.parametrize(
    ("gps", "place"),
    [("drop", None), ("keep", {"latitude": -33.51, "longitude": 18.25, "altitude": None})],
)
def test_the_place_of_an_image_is_kept_only_on_request(tmp_path, gps, place):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "a camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "S",
            ExifTags.GPS.GPSLatitude: (33, 30, 36),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (18, 15, 0),
        }
    )
    image = tmp_path / file_name()
    image.write_bytes(encoded(drawn(1), exif=exif))
    file = {
        "path": f"file:{image}",
        "bytes": image.stat().st_size,
        "modified_at": datetime(2026, 7, 1, tzinfo=UTC),
    }
    row = build_row(file, Rules(source=f"file:{tmp_path}", pattern=NAMED, gps=gps))
    assert row["gps"] == (place and pytest.approx(place))
    assert row["camera_make"] == "a camera"
    # nor does it stay behind among the readable strings
    assert not any("GPS" in name for name in row["exif"])


@pytest.mark.parametrize(
    ("named", "origin"),
    [
        ("2026-07-13T12%3A30%3A05", "name"),
        ("1970-01-01T00%3A00%3A05", "name"),
        ("1889-07-13T12%3A30%3A05", "file"),
        ("0001-01-01T00%3A00%3A00", "file"),
    ],
)
def test_a_time_before_1970_is_ignored(tmp_path, named, origin):
    image = tmp_path / f"{named}_rpi_sensor_3_porch_1.jpg"
    image.write_bytes(encoded(drawn(1)))
    changed = datetime(2026, 7, 1, tzinfo=UTC)
    file = {"path": f"file:{image}", "bytes": image.stat().st_size, "modified_at": changed}
    row = build_row(file, Rules(source=f"file:{tmp_path}", pattern=NAMED))
    assert row["captured_from"] == origin and (row["captured_at"] == changed) == (origin == "file")


NOW = datetime.now(UTC).replace(microsecond=0)
SHOT = {"DateTimeOriginal": "2026:07:13 12:30:05"}
GPS_TIME = {"GPSDateStamp": "2026:07:13", "GPSTimeStamp": (12.0, 30.0, 5.0)}
TAKEN, CHANGED = datetime(2026, 7, 13, 12, 30, 5, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("named", "exif", "gps", "expected"),
    [
        ("2026-07-13T12:30:05", {"DateTimeOriginal": "2020:01:01 00:00:00"}, {}, ("name", TAKEN)),
        ("2026-06-31T12:30:05", SHOT, {}, ("exif", TAKEN)),
        ("1889-07-13T12:30:05", SHOT, {}, ("exif", TAKEN)),
        ("2199-07-13T12:30:05", SHOT, {}, ("exif", TAKEN)),
        ("2199-07-13T12:30:05", {}, GPS_TIME, ("gps", TAKEN)),
        ("2199-07-13T12:30:05", {}, {}, "from the future"),
        ("", SHOT, {}, ("exif", TAKEN)),
        ("", {"DateTimeOriginal": "2026-07-13T12:30:05"}, {}, ("exif", TAKEN)),
        ("", {"DateTimeOriginal": " " * 19, "DateTimeDigitized": "2026:07:13 12:30:05"}, {},
         ("exif", TAKEN)),
        ("", {"DateTimeOriginal": "0000:00:00 00:00:00"}, GPS_TIME, ("gps", TAKEN)),
        ("", {"DateTimeOriginal": "0000:00:00 00:00:00"}, {}, ("file", CHANGED)),
        ("", {"DateTimeOriginal": "1979:12:31 23:59:59"}, {}, ("file", CHANGED)),
        ("", {"DateTimeOriginal": f"{NOW.year + 1}:07:13 12:30:05"}, {}, ("file", CHANGED)),
        ("", {}, {}, ("file", CHANGED)),
    ],
)  # fmt: skip
def test_the_best_valid_time_counts_and_is_named(tmp_path, named, exif, gps, expected):
    tags = Image.Exif()
    for name, value in exif.items():
        tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[name]] = value
    for name, value in gps.items():
        tags.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS[name]] = value
    image = tmp_path / (f"{named}_rpi_sensor_3_porch_1.jpg" if named else "IMG_1.jpg")
    image.write_bytes(encoded(drawn(1), exif=tags))
    file = {"path": f"file:{image}", "bytes": image.stat().st_size, "modified_at": CHANGED}
    row = build_row(file, Rules(source=f"file:{tmp_path}", pattern=NAMED))
    found = row.get("reason") or (row["captured_from"], row["captured_at"])
    assert found == expected and ("date" not in row or row["date"] == row["captured_at"].date())


def test_an_image_that_was_erased_before_it_had_a_mask_stays_away(tmp_path):
    image = tmp_path / file_name(device="7")
    image.write_bytes(encoded(drawn(1)))
    file = {
        "path": f"file:{image}",
        "bytes": image.stat().st_size,
        "modified_at": datetime(2026, 7, 1, tzinfo=UTC),
    }
    masks = {"": [Region(0, 0, 0.5, 1)]}
    rules = Rules(source=f"file:{tmp_path}", pattern=NAMED, privacy_masks=masks)
    raw, stored = sha256(image.read_bytes()).hexdigest(), build_row(file, rules)["sha256"]
    assert raw != stored
    for erased in (raw, stored):
        row = build_row(file, replace(rules, erased=Erased(sha256=frozenset([erased]))))
        assert (row["reason"], row["content"]) == (ERASED, None)

"""Which of the times in EXIF counts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from PIL import ExifTags
from PIL.TiffImagePlugin import IFDRational

from edge.protocol.exif_time import find_exif_time, parse_exif_time

ORIGINAL, DIGITIZED = ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized
CHANGED = ExifTags.Base.DateTime
NOW = datetime(2026, 11, 29, tzinfo=UTC)
TAKEN = datetime(2026, 7, 13, 3, 4, 54)
SUMMER = timezone(timedelta(hours=2))
VALID = "2026:07:13 03:04:54"
GPS_DAY = {ExifTags.GPS.GPSDateStamp: "2026:07:13"}
GPS_VALID = GPS_DAY | {ExifTags.GPS.GPSTimeStamp: (IFDRational(3), IFDRational(4), 54.9)}

INVALID = [
    "0000:00:00 00:00:00",
    "    :  :     :  :  ",
    "",
    "\0" * 20,
    "now",
    "2026:02:30 03:04:54",
    "2026:07:13 25:04:54",
    "2026:07:13",
    "1970:01:01 00:00:00",
    "1979:12:31 23:59:59",
    "2026:12:01 03:04:54",
    "2099:07:13 03:04:54",
    "9999:12:31 23:59:59",
    "٢٠٢٦:07:13 03:04:54",
    "2026:07:13 03:04:54 or so",
]


@pytest.mark.parametrize(
    "written",
    [
        VALID,
        f"{VALID}\0",
        f" {VALID} ",
        VALID.encode(),
        "2026-07-13T03:04:54",
        "2026-07-13 03:04:54",
        "2026/07/13 03:04:54",
        "2026:07:13 03:04:54.123",
        "2026-07-13T03:04:54,5",
    ],
)
def test_a_time_is_read_as_cameras_and_programs_write_it(written):
    assert find_exif_time({ORIGINAL: written}, {}, NOW) == (TAKEN, "exif")


@pytest.mark.parametrize(
    ("zone", "expected"), [("Z", UTC), ("+02:00", SUMMER), (" +02:00", SUMMER), ("+99:00", None)]
)
def test_a_time_may_end_with_its_zone(zone, expected):
    assert parse_exif_time(f"2026-07-13T03:04:54{zone}", None) == TAKEN.replace(tzinfo=expected)


@pytest.mark.parametrize("written", INVALID)
def test_the_next_tag_counts_if_one_is_not_valid(written):
    earlier = {ORIGINAL: written}
    assert find_exif_time(earlier, {}, NOW) is None
    assert find_exif_time(earlier | {DIGITIZED: VALID}, {}, NOW) == (TAKEN, "exif")
    earlier[DIGITIZED] = written
    assert find_exif_time(earlier | {CHANGED: VALID}, {}, NOW) == (TAKEN, "exif")
    earlier[CHANGED] = written
    of_gps = (TAKEN.replace(tzinfo=UTC), "gps")
    assert find_exif_time(earlier, GPS_VALID, NOW) == of_gps


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        (GPS_DAY, datetime(2026, 7, 13, tzinfo=UTC)),
        ({ExifTags.GPS.GPSTimeStamp: (3, 4, 54)}, None),
        (GPS_DAY | {ExifTags.GPS.GPSTimeStamp: (3, 4)}, None),
        (GPS_DAY | {ExifTags.GPS.GPSTimeStamp: (3, 4, IFDRational(1, 0))}, None),
        (GPS_DAY | {ExifTags.GPS.GPSTimeStamp: (24, 0, 0)}, None),
        (GPS_DAY | {ExifTags.GPS.GPSTimeStamp: 7}, None),
        (GPS_VALID | {ExifTags.GPS.GPSDateStamp: "1999:99:99"}, None),
        (GPS_VALID | {ExifTags.GPS.GPSDateStamp: "1979:07:13"}, None),
        (GPS_VALID | {ExifTags.GPS.GPSDateStamp: "2027:07:13"}, None),
    ],
)
def test_a_time_of_gps_has_a_date(gps, expected):
    assert find_exif_time({}, gps, NOW) == (expected and (expected, "gps"))


def test_each_tag_has_its_own_offset():
    tags = {
        ORIGINAL: "",
        ExifTags.Base.OffsetTimeOriginal: "+09:00",
        DIGITIZED: VALID,
        ExifTags.Base.OffsetTimeDigitized: "+02:00",
    }
    assert find_exif_time(tags, {}, NOW) == (TAKEN.replace(tzinfo=SUMMER), "exif")


def test_the_latest_time_is_compared_in_utc():
    tags = {ORIGINAL: VALID, ExifTags.Base.OffsetTime: "+02:00"}
    assert find_exif_time(tags, {}, datetime(2026, 7, 13, 1, 4, 54, tzinfo=UTC))
    assert find_exif_time(tags, {}, datetime(2026, 7, 13, 1, 4, 53, tzinfo=UTC)) is None

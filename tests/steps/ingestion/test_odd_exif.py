"""Images with EXIF as nobody would write it: each becomes a row that the table can hold.

`CASES=10000 make prove ARGS="-k odd_exif"` tries more than a few hundred.
"""

import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from drawing import drawn, encoded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from PIL import ExifTags, Image
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from steps.ingestion.rows import Rules, build_row
from steps.ingestion.tables import DESCRIBED

pytestmark = [pytest.mark.slow, pytest.mark.proof]

CASES = int(os.environ.get("CASES", "300"))
IMAGE = drawn(1, size=(8, 8))
MARKER = b"Exif\0\0"
TIMES = [ExifTags.Base.DateTime, ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized]
TEXTS = [
    *TIMES,
    *(ExifTags.Base.OffsetTime, ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.Make),
]

times = some.one_of(
    some.datetimes().map(lambda time: time.strftime("%Y:%m:%d %H:%M:%S")),
    some.datetimes().map(datetime.isoformat),
    some.sampled_from(["0000:00:00 00:00:00", "    :  :     :  :  ", "", "+02:00", "+99:00", "Z"]),
    some.from_regex(r"\A[0-9]{4}:[0-9]{2}:[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\Z"),
)
texts = some.one_of(times, some.text(max_size=30), some.binary(max_size=30))
numbers = some.one_of(
    some.integers(0, 2**32 - 1),
    some.floats(0, 1e6, allow_nan=False),
    some.tuples(some.integers(0, 2**16 - 1), some.integers(0, 2**16 - 1)),
)
base = some.dictionaries(some.sampled_from(TEXTS), texts, max_size=4)
details = some.dictionaries(
    some.sampled_from([*TEXTS, ExifTags.Base.ExposureTime, ExifTags.Base.ISOSpeedRatings]),
    some.one_of(texts, numbers),
    max_size=5,
)
gps = some.dictionaries(
    some.sampled_from([*map(int, ExifTags.GPS)]), some.one_of(texts, numbers), max_size=5
)
damage = some.lists(some.tuples(some.integers(0, 400), some.integers(0, 255)), max_size=6)


def _exif(base: dict, details: dict, gps: dict, damage: list[tuple[int, int]]) -> bytes:
    exif = Image.Exif()
    exif.update(base)
    exif.get_ifd(ExifTags.IFD.Exif).update(details)
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    try:
        content = bytearray(exif.tobytes())
    except Exception:  # what Pillow cannot write
        content = bytearray(MARKER + repr((base, details, gps)).encode(errors="replace"))
    for place, value in damage:
        content[min(len(MARKER) + place, len(content) - 1)] = value
    return bytes(content[:60_000])


@pytest.fixture(scope="module")
def schema(lake) -> pa.Schema:
    return to_arrow_schema(StructType.fromDDL(DESCRIBED))


@given(base, details, gps, damage, some.sampled_from(["JPEG", "PNG", "WEBP"]))
@settings(
    max_examples=CASES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_any_exif_leaves_a_row_that_the_table_holds(schema, base, details, gps, damage, format):
    content = encoded(IMAGE, format, exif=_exif(base, details, gps, damage))
    changed = datetime(2026, 7, 1, tzinfo=UTC)
    file = {"path": "file:/zone/a.jpg", "bytes": 1, "modified_at": changed, "content": content}
    row = build_row(file, Rules(source="file:/zone", pattern="no match", gps="keep"))
    assert "reason" not in row
    assert row["captured_from"] in ("exif", "gps", "file")
    if row["captured_from"] == "file":
        assert row["captured_at"] == changed
    else:
        assert row["captured_at"] >= datetime(1979, 12, 31, tzinfo=UTC)
        assert row["captured_at"] <= datetime.now(UTC) + timedelta(days=1)
    assert pa.RecordBatch.from_pylist([row], schema=schema).num_rows == 1

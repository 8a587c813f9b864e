"""The fields of images' names, and the folder that replaces them."""

from datetime import UTC, datetime

import pytest

from edge.protocol.landing_names import image_name
from steps.ingestion.file_name import FileName, parse_file_name
from steps.settings.profile import load_profile

SOURCE = "file:/landing zone"
NOON = datetime(2026, 7, 13, 12, 30, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def pattern() -> str:
    return load_profile("local").file_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2026-07-13T12%3A30%3A05_rpi_sensor_3_porch_1.jpg", (NOON, "3", "porch", "1")),
        ("2026-07-13T12:30:05_rpi_sensor_3_porch_1.jpg", (NOON, "3", "porch", "1")),
        ("2026-07-13T12:30%3A05_rpi_sensor_3_porch_1.png", (NOON, "3", "porch", "1")),
        ("2026-07-13T12%3A30%3A05_rpi_sensor_3_porch.jpg", (NOON, "3", "porch", None)),
        ("2026-07-13T12%3A30%3A05_rpi_sensor_kit-7_front door_shoes.jpg",
         (NOON, "kit-7", "front door", "shoes")),
        ("2026-06-31T12%3A30%3A05_rpi_sensor_3_porch_1.jpg", (None, "3", "porch", "1")),
        ("2026-07-13T25%3A30%3A05_rpi_sensor_3_porch.jpg", (None, "3", "porch", None)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", ["", "/shoes"])
def test_a_matching_name_decides(pattern, name, expected, folder):
    found = parse_file_name(f"{SOURCE}{folder}/{name}", SOURCE, pattern)
    assert found == FileName(*expected, label_from=expected[3] and "name")


@pytest.mark.parametrize("label", ["1", None])
def test_a_name_of_the_device_is_parsed(pattern, label):
    name = image_name(NOON, "kit-7", "porch", label)
    assert parse_file_name(f"{SOURCE}/{name}", SOURCE, pattern) == FileName(
        NOON, "kit-7", "porch", label, label and "name"
    )


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("shoes/IMG_1.jpg", "shoes"),
        ("2026/shoes/IMG_1.jpg", "shoes"),
        ("IMG_1.jpg", None),
        ("shoes/2026-07-13_rpi_sensor_3_porch_1.jpg", "shoes"),
        ("a b/100%.jpg", "a b"),
    ],
)
@pytest.mark.parametrize("source", [SOURCE, f"{SOURCE}/"])
def test_another_name_is_labelled_by_its_folder(pattern, path, label, source):
    assert parse_file_name(f"{SOURCE}/{path}", source, pattern) == FileName(
        label=label, label_from=label and "folder"
    )


def test_an_image_below_a_uri_is_labelled_by_its_folder(pattern):
    assert (
        parse_file_name("s3a://bucket/in/shoes/1.jpg", "s3a://bucket/in", pattern).label == "shoes"
    )


def test_the_time_is_optional_in_a_pattern_and_may_be_invalid():
    pattern = r"(?:(?P<time>[\d:T+-]+)_)?(?P<device>\w+?)_(?P<view>\w+?)_(?P<label>\w+)\.jpg"
    assert parse_file_name(f"{SOURCE}/a7_porch_1.jpg", SOURCE, pattern) == FileName(
        None, "a7", "porch", "1", "name"
    )
    beyond = f"{SOURCE}/0001-01-01T00:00:00+05:00_a7_porch_1.jpg"
    assert parse_file_name(beyond, SOURCE, pattern).captured_at is None

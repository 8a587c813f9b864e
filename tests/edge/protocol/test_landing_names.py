"""The names in the landing zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edge.protocol.landing_names import image_name, results_name, status_name

BERLIN = ZoneInfo("Europe/Berlin")
TIME = datetime.fromisoformat("2026-07-13T03:04:54+00:00")


@pytest.mark.parametrize(
    ("device", "view", "label", "expected"),
    [
        ("1", "porch", "0", "2026-07-13T03%3A04%3A54_rpi_sensor_1_porch_0.jpg"),
        ("a7", "gate", "1", "2026-07-13T03%3A04%3A54_rpi_sensor_a7_gate_1.jpg"),
        ("1", "porch", None, "2026-07-13T03%3A04%3A54_rpi_sensor_1_porch.jpg"),
    ],
)
def test_names_follow_the_pattern(device, view, label, expected):
    assert image_name(TIME, device, view, label) == expected


@pytest.mark.parametrize(
    ("captured_at", "expected"),
    [
        (datetime(2026, 7, 13, 3, 4, 54), "2026-07-13T03%3A04%3A54"),
        (datetime(2026, 7, 13, 1, 4, 54, tzinfo=BERLIN), "2026-07-12T23%3A04%3A54"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "2026-10-25T00%3A30%3A00"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), "2026-10-25T01%3A30%3A00"),
        (datetime.fromisoformat("2026-07-13T03:04:54-09:30"), "2026-07-13T12%3A34%3A54"),
    ],
)
def test_the_time_in_a_name_is_utc(captured_at, expected):
    assert image_name(captured_at, "1", "porch", None).partition("_")[0] == expected


def test_what_is_no_image_has_a_folder_of_its_own():
    assert results_name("a7", "5f3a", 7, b"{}") == "results/a7/5f3a-00000007-44136fa3.jsonl"
    assert results_name("a7", "5f3a", 7, b"[]") != results_name("a7", "5f3a", 7, b"{}")
    assert status_name("a7") == "status/a7.json"

"""The names in the landing zone."""

from datetime import datetime

import pytest

from edge.landing_names import picture_name, results_name, status_name

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
    assert picture_name(TIME, device, view, label) == expected


def test_what_is_no_picture_has_a_folder_of_its_own():
    assert results_name("a7", "5f3a", 7, b"{}") == "results/a7/5f3a-00000007-44136fa3.jsonl"
    assert results_name("a7", "5f3a", 7, b"[]") != results_name("a7", "5f3a", 7, b"{}")
    assert status_name("a7") == "status/a7.json"

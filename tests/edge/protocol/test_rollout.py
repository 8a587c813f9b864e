"""Which devices a stage of a rollout reaches."""

import pytest

from edge.protocol.rollout import Rollout, failed_here, failed_releases, place_of

SINCE = "2026-07-01T12:00:00+00:00"
DEVICES = [f"pi-{number}" for number in range(5000)]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.9])
def test_a_stage_reaches_its_share_of_the_devices_and_all_of_the_stage_before(share):
    def reached(share: float, model: str = "package-onnx") -> set[str]:
        stage = Rollout("7", share, SINCE)
        return {device for device in DEVICES if stage.includes(device, model)}

    found = reached(share)
    noise = 4 * (share * (1 - share) / len(DEVICES)) ** 0.5
    assert abs(len(found) / len(DEVICES) - share) < noise
    assert reached(share / 2) < found < reached(1.0) == set(DEVICES)
    other = reached(share, "another-onnx")
    assert abs(len(found & other) / len(DEVICES) - share**2) < noise  # of each model others


def test_a_device_stays_at_its_place():
    """It is part of what devices and lake agree on: another hash would move a running rollout."""
    assert place_of("porch-1", "package-onnx") == pytest.approx(0.9410279589)


def test_a_rollout_comes_back_as_it_was_stated():
    stage = Rollout("7", 0.05, SINCE)
    assert Rollout.parse(stage.text()) == stage


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "5",
        "{}",
        '{"version": "7", "share": 0.5}',
        '{"version": 7, "share": 0.5, "since": ""}',
        '{"version": "7", "share": 0, "since": ""}',
        '{"version": "7", "share": -0.5, "since": ""}',
        '{"version": "7", "share": 1.01, "since": ""}',
        '{"version": "7", "share": true, "since": ""}',
        '{"version": "7", "share": "0.5", "since": ""}',
        '{"version": "7", "share": NaN, "since": ""}',
        "[" * 100_000,
    ],
)
def test_what_is_no_rollout_reaches_no_device(text):
    assert Rollout.parse(text) is None


def test_a_report_names_the_releases_that_failed():
    report = f"the camera is gone; {failed_here(7, 'it fails')}; {failed_here(12, 'too')}"
    assert failed_releases(report) == {7, 12}
    assert failed_releases("release 7 is in use") == failed_releases(None) == set()

"""A device's status: whether it is healthy, and the lines of ``edge status``."""

import os

import pytest
from agent_fakes import agent_of, live, send_all, take_frames

from edge.agent.settings import CaptureSettings, LandingSettings
from edge.cli.agent_commands import _summary
from edge.protocol.version import project_version


@pytest.mark.parametrize(
    ("minutes", "is_healthy"), [(1, True), (9, True), (11, False), (60, False)]
)
def test_a_device_stays_healthy_while_the_landing_folder_is_away_for_ten_minutes(
    tmp_path, clock, minutes, is_healthy
):
    landing = LandingSettings(str(tmp_path / "landing"), max_retry_seconds=60)
    agent = agent_of(tmp_path, clock, landing=landing)
    live(agent, clock, 120, step=10)
    os.rename(tmp_path / "landing", tmp_path / "away")
    live(agent, clock, 60 * minutes, step=10)
    status = agent.status()
    assert "create or mount it" in status["landing_failure"] and status["healthy"] is is_healthy
    assert all(
        "nothing can be sent: the landing folder" in what for what in status["health_issues"]
    )
    os.rename(tmp_path / "away", tmp_path / "landing")
    live(agent, clock, 120, step=10)
    assert agent.status()["healthy"]
    os.rename(tmp_path / "landing", tmp_path / "away")  # which counts from zero
    live(agent, clock, 300, step=10)
    assert agent.status()["healthy"] and agent.status()["landing_failure"]


@pytest.mark.parametrize(
    ("count", "frames", "images"),
    [(0, "0 frames", "0 images"), (1, "1 frame", "1 image"), (2, "2 frames", "2 images")],
)
def test_a_summary_uses_singular_and_plural(tmp_path, clock, count, frames, images):
    agent = agent_of(tmp_path, clock, capture=CaptureSettings(period_seconds=1))
    take_frames(agent, clock, count)
    lines = dict(_summary(agent.status()))
    assert lines["agent"] == agent.status()["agent_version"] == project_version()
    assert lines["camera"].endswith(f", {frames}" if count else "not started yet")
    assert lines["waiting"].startswith(f"{images}, ") and lines["sent"].startswith("0 images")
    send_all(agent)
    assert dict(_summary(agent.status()))["sent"].startswith(f"{images}, last ")

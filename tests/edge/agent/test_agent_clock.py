"""The agent with a clock that is unset, or is set while it runs."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from agent_fakes import NOON, FakeClock, agent_of, landed, live, settings

from edge.agent import clock
from edge.agent.agent import Agent
from edge.agent.settings import CaptureSettings
from edge.cameras.camera import CameraSettings, Frame
from edge.cameras.folder import FolderCamera
from edge.cameras.jpeg import encode_jpeg, encode_pixels

EVERY_SECOND = CaptureSettings(period_seconds=1)


@pytest.mark.parametrize("saved", [datetime(1970, 1, 1, tzinfo=UTC), NOON - timedelta(days=2)])
def test_an_unset_clock_loses_no_image_and_invents_no_time(tmp_path, saved):
    clock = FakeClock(saved, is_set=False)
    agent = agent_of(tmp_path, clock, capture=CaptureSettings(period_seconds=10))
    live(agent, clock, 30)
    assert landed(tmp_path) == [] and agent.parts.queue.size()["undated"] == 3
    assert not agent.status()["clock_synced"] and not (tmp_path / "landing/status").exists()
    clock.set_to(NOON)
    live(agent, clock, 11)
    assert [name[11:25] for name in landed(tmp_path)] == [
        *("11%3A59%3A30_r", "11%3A59%3A40_r", "11%3A59%3A50_r"),
        *("12%3A00%3A00_r", "12%3A00%3A10_r"),
    ]


def test_a_frame_taken_while_the_clock_was_being_set_has_the_time_before(tmp_path):
    clock = FakeClock(NOON - timedelta(days=2), is_set=False)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND)
    camera = agent.parts.camera
    shot = camera.shot

    @contextmanager
    def slow_shot():
        with shot() as taken:
            clock.set_to(NOON)
            yield taken

    camera.shot = slow_shot
    live(agent, clock, 1)
    assert [name[:25] for name in landed(tmp_path)] == ["2026-07-13T12%3A00%3A00_r"]


def test_an_image_with_its_own_time_waits_for_no_clock(tmp_path):
    clock = FakeClock(NOON - timedelta(days=2), is_set=False)
    folder = tmp_path / "images"
    folder.mkdir()
    agent = Agent(
        settings(tmp_path, capture=EVERY_SECOND),
        clock,
        FolderCamera(CameraSettings(source=str(folder))),
    )
    jpeg = encode_jpeg(Frame(np.zeros((8, 8, 3), np.uint8), NOON - timedelta(days=900)), "x")
    (folder / "with.jpg").write_bytes(jpeg)
    live(agent, clock, 2)
    (folder / "without.jpg").write_bytes(encode_pixels(np.zeros((8, 8, 3), np.uint8)))
    live(agent, clock, 2)
    assert [name[:19] for name in landed(tmp_path)] == ["2024-01-25T12%3A00%"]
    assert agent.parts.queue.size()["undated"] == 1


def test_an_unset_clock_is_a_health_issue_after_an_hour(tmp_path):
    clock = FakeClock(NOON - timedelta(days=2), is_set=False)
    agent = agent_of(tmp_path, clock)
    live(agent, clock, 3600, step=60)
    assert agent.status()["healthy"]
    live(agent, clock, 120, step=60)
    assert not agent.status()["healthy"] and "trust_clock" in agent.status()["health_issues"][0]
    clock.set_to(NOON)
    assert agent.status()["healthy"]


def test_an_agent_without_network_trusts_the_sync_of_the_process_before(tmp_path, monkeypatch):
    """As after an upgrade, with a time server's client other than systemd-timesyncd."""
    monkeypatch.setattr(clock, "SYNCHRONISED", tmp_path / "synchronized")
    monkeypatch.setattr(clock, "RTCS", tmp_path / "rtc")
    for error in (4000, clock.MAX_ERROR):
        monkeypatch.setattr(clock, "_clock_error", lambda error=error: error)
        agent = Agent(settings(tmp_path))
        assert agent.status()["clock_synced"]
        agent.parts.store.close()


def test_a_clock_that_is_set_back_overwrites_no_image(tmp_path, clock):
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND)
    live(agent, clock, 5)
    clock.set_to(NOON)
    live(agent, clock, 5)
    assert len(landed(tmp_path)) == 10 and len(set(landed(tmp_path))) == 5
    assert len(list((tmp_path / "landing").glob("again-*/*.jpg"))) == 5

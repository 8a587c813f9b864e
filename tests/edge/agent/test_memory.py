"""A day in minutes: whatever fails, nothing grows without bound.

HOURS=24 make prove ARGS="-k a_day"
"""

import os
import random
import shutil

import pytest
from agent_fakes import NOBODY, landed, send_all

from edge.agent import machine
from edge.agent.settings import (
    CaptureSettings,
    LandingSettings,
    ModelSettings,
    ScoreSettings,
    StoreSettings,
)

HOURS = float(os.environ.get("HOURS", "1"))
SECONDS_PER_FRAME = 4.0
GROWTH_MEGABYTES = 12.0
FAULTS = ("none", "none", "landing away", "stalled", "gone", "clock back", "trigger", "unsure")


@pytest.mark.proof
def test_a_day_of_faults_leaves_memory_and_disk_as_they_were(tmp_path, clock, with_model):
    agent = with_model(
        capture=CaptureSettings(period_seconds=30, motion=True),
        score=ScoreSettings(period_seconds=SECONDS_PER_FRAME, uncertain_per_hour=60),
        landing=LandingSettings(str(tmp_path / "landing"), max_retry_seconds=60),
        model=ModelSettings(NOBODY, "brightness", poll_seconds=600),
        store=StoreSettings(tmp_path / "store", images_megabytes=1, free_megabytes=0, results=2000),
    )
    draw = random.Random(7)
    end = clock.uptime() + 3600 * HOURS
    warm = clock.uptime() + 3600 * HOURS / 4
    before = None
    while clock.uptime() < end:
        fault = draw.choice(FAULTS)
        _cause(fault, agent, tmp_path, clock)
        _live(agent, clock, draw.randint(5, 50))
        agent.status()
        _end(fault, agent, tmp_path)
        _live(agent, clock, draw.randint(20, 30))
        if before is None and clock.uptime() > warm:
            before = machine.memory_megabytes()
        if len(landed(tmp_path)) > 2000:
            shutil.rmtree(tmp_path / "landing")
            (tmp_path / "landing").mkdir()
    _live(agent, clock, 100)
    grown = machine.memory_megabytes() - before
    stored = sum(path.stat().st_size for path in (tmp_path / "store").glob("store.sqlite*"))
    frames = agent.parts.watcher.state.frames
    print(f"{HOURS:g} h, {frames} frames: {grown:+.1f} MB, {stored} bytes stored")
    assert frames > 500 * HOURS
    assert grown < GROWTH_MEGABYTES
    assert stored < 2_000_000 and agent.parts.results.size()["results"] <= 2000
    status = agent.status()
    assert status["healthy"] and status["landing_failure"] is None
    assert status["queue"]["images"] == 0 and len(status["recent_errors"]) <= 20


def _live(agent, clock, frames: int) -> None:
    for _ in range(frames):
        agent.parts.watcher.take_frame()
        send_all(agent)
        agent.parts.follower.work()
        clock.advance(SECONDS_PER_FRAME)


def _cause(fault, agent, tmp_path, clock) -> None:
    if fault == "landing away":
        os.rename(tmp_path / "landing", tmp_path / "away")
    elif fault in ("stalled", "gone"):
        agent.parts.camera.fault = fault
    elif fault == "clock back":
        clock.set_to(clock.now().wall_time.replace(minute=0, second=0))
    elif fault == "trigger":
        agent.trigger()
    elif fault == "unsure":
        agent.parts.camera.grey = 127  # every frame is uncertain


def _end(fault, agent, tmp_path) -> None:
    if fault == "landing away":
        os.rename(tmp_path / "away", tmp_path / "landing")
    agent.parts.camera.fault = agent.parts.camera.grey = None

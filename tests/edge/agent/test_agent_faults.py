"""Faults of a device in the field: each is caused and then removed."""

import json
import os
import shutil
import sqlite3
import threading
import time

import fsspec
import pytest
from agent_fakes import NOBODY, agent_of, fill_disk, landed, live, place_model, send_all
from fsspec.implementations.memory import MemoryFileSystem

from edge.agent.clock import Clock
from edge.agent.settings import CaptureSettings, LandingSettings, ModelSettings, StoreSettings
from edge.agent.watchdog import Watchdog

EVERY_SECOND = CaptureSettings(period_seconds=1)


class Unreliable(MemoryFileSystem):
    """A landing zone that raises what a client library may raise."""

    protocol, store, pseudo_dirs, cachable = "unreliable", {}, [""], False
    fault: type[Exception] | None = None
    calls = 0

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(path.replace("unreliable://", "memory://"))

    def exists(self, path, **options):
        Unreliable.calls += 1
        if self.fault:
            raise self.fault("no route to host")
        return super().exists(path, **options)

    def pipe_file(self, path, value, **options):
        if self.fault:
            raise self.fault("no route to host")
        super().pipe_file(path, value, **options)


@pytest.mark.parametrize("kind", [OSError, TimeoutError, RuntimeError, ValueError])
def test_a_landing_zone_that_is_away_is_retried_with_growing_pauses(
    tmp_path, clock, monkeypatch, kind
):
    fsspec.register_implementation("unreliable", Unreliable, clobber=True)
    Unreliable.store.clear()
    monkeypatch.setattr(Unreliable, "fault", kind)
    monkeypatch.setattr(Unreliable, "calls", 0)
    landing = LandingSettings("unreliable://zone", max_retry_seconds=60)
    agent = agent_of(tmp_path, clock, capture=CaptureSettings(period_seconds=10), landing=landing)
    live(agent, clock, 600)
    assert agent.parts.watcher.state.frames == 600 and agent.parts.queue.size()["images"] == 60
    assert agent.status()["landing_failure"] == "no route to host" and agent.status()["healthy"]
    assert Unreliable.calls < 40
    monkeypatch.setattr(Unreliable, "fault", None)
    live(agent, clock, 70)
    assert agent.parts.queue.size()["images"] == 0 and agent.status()["landing_failure"] is None
    assert agent.parts.store.counts() == {"sent": 67}
    assert len([name for name in Unreliable.store if name.endswith(".jpg")]) == 67


def test_a_bug_is_logged_with_its_trace_and_retried_with_pauses(
    tmp_path, clock, monkeypatch, caplog
):
    agent = agent_of(tmp_path, clock)

    def broken(allow_partial):
        agent.stop()
        raise KeyError("no such column")

    monkeypatch.setattr(agent.parts.results, "next", broken)
    agent._repeat(agent.sender.work)
    (trace,) = [record.exc_text for record in caplog.records if record.exc_info]
    assert "in broken" in trace and "no such column" in agent.status()["landing_failure"]
    assert not agent.sender.work()
    clock.advance(10)
    with pytest.raises(KeyError):
        agent.sender.work()


def test_a_landing_folder_that_disappears_and_returns_gets_every_image_once(tmp_path, clock):
    landing = LandingSettings(str(tmp_path / "landing"), max_retry_seconds=30)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, landing=landing)
    live(agent, clock, 5)
    os.rename(tmp_path / "landing", tmp_path / "away")
    live(agent, clock, 30)
    assert "create or mount it" in agent.status()["landing_failure"]
    os.rename(tmp_path / "away", tmp_path / "landing")
    live(agent, clock, 40)
    assert len(landed(tmp_path)) == len(set(landed(tmp_path))) == 75


def test_a_registry_that_is_away_does_not_delay_scoring(tmp_path, clock, with_model):
    agent = with_model()
    live(agent, clock, 600)
    assert (
        agent.parts.watcher.state.frames == 600 and agent.parts.watcher.state.result.version == "4"
    )
    assert "no MLflow server answers" in agent.status()["model_failure"]


def test_a_bug_in_a_poll_is_shown_and_raised_once_per_poll(
    tmp_path, clock, with_model, monkeypatch
):
    agent = with_model()
    traces = 0

    def check():
        raise KeyError("no://me:secret@key")

    monkeypatch.setattr(agent.parts.updater, "check", check)
    for _ in range(4 * 3600):
        try:
            agent.parts.follower.work()
        except KeyError:
            traces += 1
        clock.advance(1)
    assert 3 < traces < 15
    assert agent.status()["model_failure"] == "KeyError('no://key')"
    monkeypatch.setattr(agent.parts.updater, "check", lambda: None)
    clock.advance(3600)
    agent.parts.follower.work()
    assert agent.status()["model_failure"] is None


def test_a_full_disk_costs_images_and_nothing_else(tmp_path, clock, small_disk):
    store = StoreSettings(small_disk / "store", free_megabytes=0)
    landing = LandingSettings(str(tmp_path / "landing"), max_retry_seconds=30)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, store=store, landing=landing)
    shutil.rmtree(tmp_path / "landing")
    live(agent, clock, 5)
    with pytest.raises(OSError, match="No space left"):
        fill_disk(small_disk)
    live(agent, clock, 100)
    assert agent.parts.watcher.state.frames == 105
    assert json.dumps(agent.status()) and shutil.disk_usage(small_disk).free < 100_000
    (small_disk / "others").unlink()
    (tmp_path / "landing").mkdir()
    live(agent, clock, 200)
    assert agent.parts.queue.size()["images"] == 0 and agent.status()["landing_failure"] is None
    sent = len(landed(tmp_path))
    assert 200 < sent == len(set(landed(tmp_path)))
    assert agent.parts.store.counts() == {"sent": sent, "dropped": 305 - sent}


@pytest.mark.parametrize("killed", [True, False])
def test_an_agent_that_starts_on_a_full_disk_scores(
    tmp_path, clock, small_disk, with_model, killed
):
    store = StoreSettings(small_disk / "store", free_megabytes=0)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, store=store)
    place_model(small_disk / "store" / "models" / "brightness")
    for _ in range(5):
        agent.parts.watcher.take_frame()
        clock.advance(1)
    if killed:  # as a kill leaves it
        shutil.copytree(small_disk / "store", tmp_path / "copy", symlinks=True)
        agent.parts.store.close()
        shutil.rmtree(small_disk / "store")
        shutil.move(tmp_path / "copy", small_disk / "store")
    else:
        agent.parts.store.close()
    with pytest.raises(OSError, match="No space left"):
        fill_disk(small_disk)
    followed = ModelSettings(NOBODY, "brightness")
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, store=store, model=followed)
    for _ in range(5):
        agent.parts.watcher.take_frame()
        clock.advance(1)
    assert (
        agent.parts.watcher.state.result.version == "4"
        and agent.parts.store.counts()["dropped"] == 5
    )
    (small_disk / "others").unlink()
    live(agent, clock, 20)
    assert len(landed(tmp_path)) == 25


def test_an_image_sent_from_a_full_disk_is_sent_once(tmp_path, clock, small_disk, monkeypatch):
    store = StoreSettings(small_disk / "store", free_megabytes=0)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, store=store)
    for _ in range(5):
        agent.parts.watcher.take_frame()
        clock.advance(1)

    def full(*arguments, **options):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(agent.parts.store.database, "transaction", full)
    send_all(agent)
    assert "disk is full" in agent.sender.failure and len(landed(tmp_path)) == 1
    monkeypatch.undo()
    clock.advance(10)
    send_all(agent)
    assert agent.parts.store.counts() == {"sent": 5} and len(landed(tmp_path)) == 5


def test_a_queue_that_fills_the_disk_keeps_the_minimum_free_and_the_newest_images(
    tmp_path, clock, small_disk
):
    store = StoreSettings(small_disk / "store", free_megabytes=1)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, store=store)
    shutil.rmtree(tmp_path / "landing")
    live(agent, clock, 1500)
    assert shutil.disk_usage(small_disk).free >= 900_000
    size = agent.parts.queue.size()
    assert size["images"] + agent.parts.store.counts()["dropped"] == 1500
    newest = agent.parts.store.database.rows("SELECT max(id) AS id, min(id) AS first FROM images")[
        0
    ]
    assert newest["id"] == 1500 and newest["first"] == 1501 - size["images"]


class Hanging(MemoryFileSystem):
    """A landing zone that does not answer until its server is back."""

    protocol, store, pseudo_dirs, cachable = "hanging", {}, [""], False
    is_back = threading.Event()

    def exists(self, path, **options):
        self.is_back.wait(60)
        return super().exists(path, **options)


def test_a_landing_zone_that_hangs_is_unhealthy_until_it_answers(tmp_path, clock, monkeypatch):
    fsspec.register_implementation("hanging", Hanging, clobber=True)
    monkeypatch.setattr("edge.outbox.sender.PUT_SECONDS", 0.2)
    landing = LandingSettings("hanging://zone", max_retry_seconds=60)
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND, landing=landing)
    live(agent, clock, 5)
    assert "it hangs: " in agent.status()["landing_failure"]
    threads = threading.active_count()
    live(agent, clock, 700)
    assert threading.active_count() <= threads and agent.parts.watcher.state.frames == 705
    assert "nothing can be sent: it hangs: an earlier" in agent.status()["health_issues"][0]
    Hanging.is_back.set()
    time.sleep(0.5)
    live(agent, clock, 100)
    assert agent.status()["healthy"] and agent.parts.queue.size()["images"] == 0
    assert len([name for name in Hanging.store if name.endswith(".jpg")]) == 805


def test_a_thread_that_hangs_is_unhealthy(tmp_path, with_model, monkeypatch):
    monkeypatch.setattr("edge.agent.status.LATE_SECONDS", 1.0)
    agent, is_back = with_model(), threading.Event()
    agent.parts.clock = agent.parts.watcher.clock = Clock(trusted=True)
    monkeypatch.setattr(agent.parts.updater, "check", lambda: is_back.wait(60) and None)
    agent.parts.follower._due = 0
    running = threading.Thread(target=agent.run, args=(Watchdog(0),))
    running.start()
    try:
        for issues in (["the follower has not finished a round for"], []):
            end = time.monotonic() + 20
            while [what[:41] for what in agent.health_issues()] != issues:
                assert time.monotonic() < end, agent.health_issues()
                time.sleep(0.1)
            is_back.set()
        assert agent.seconds_since_round().keys() == {"watcher", "sender", "follower"}
    finally:
        is_back.set()
        agent.stop()
        running.join()

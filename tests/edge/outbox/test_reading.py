"""Images that the disk cannot read, for some time or permanently."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_fakes import NOON, FakeClock, agent_of, landed, live, take_frames
from waiting_images import all_names, frame, queue_in

from edge.agent.settings import CaptureSettings
from edge.cli.agent_commands import _summary
from edge.outbox import queue_files
from edge.outbox.queue_files import UNREADABLE
from edge.outbox.reading import PATIENCE_SECONDS
from edge.outbox.reason import Reason

LONG_AGO = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)
EVERY_SECOND = CaptureSettings(period_seconds=1)
NONE = CaptureSettings(period_seconds=0)


def gone(path):
    path.unlink()


def damaged(path):
    """The disk answers with an input/output error although it has the file."""
    path.rename(path.parent.parent / f"intact {path.name}")
    path.symlink_to("/proc/self/mem")


def repair(path):
    (path.parent.parent / f"intact {path.name}").rename(path)


def no_file(path):
    path.unlink()
    path.mkdir()


FAULTS = [gone, damaged, no_file]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_unreadable_image_is_lost_after_some_minutes(tmp_path, clock, fault):
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    image = queue.next()
    fault(queue.path(image))
    if fault is damaged:
        assert queue.read(image, 100.0) is None
        assert queue.read(image, 99.0 + PATIENCE_SECONDS) is None
        assert queue.next() == image and queue.store.counts() == {}
        assert queue.size()["unreadable"] == 1
    for _ in range(2):
        assert queue.read(image, 100.0 + PATIENCE_SECONDS) is None
    assert queue.next() is None and queue.store.counts() == {"lost": 1}
    assert queue.size()["unreadable"] == 0
    assert list((tmp_path / "images").iterdir()) == []
    assert (tmp_path / UNREADABLE / queue.path(image).name).is_symlink() == (fault is damaged)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_unreadable_image_does_not_stop_others_from_being_dated(tmp_path, fault):
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    for seconds in (0, 10, 10):
        clock.advance(seconds)
        queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    first = queue.store.database.rows("SELECT file FROM images ORDER BY id")[0]["file"]
    fault(tmp_path / "images" / first)
    clock.set_to(NOON)
    queue.date(clock.now())
    assert [name[11:25] for name in all_names(queue)] == ["11%3A59%3A50_r", "12%3A00%3A00_r"]
    clock.advance(PATIENCE_SECONDS)
    queue.date(clock.now())
    assert queue.store.counts() == {"lost": 1, "sent": 2} and queue.size()["images"] == 0


def test_an_unreadable_image_delays_nothing_else(tmp_path, clock):
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND)
    take_frames(agent, clock, 3)
    damaged(agent.parts.queue.path(agent.parts.queue.next()))
    live(agent, clock, 5)
    assert len(landed(tmp_path)) == 7 and (tmp_path / "landing/status/a7.json").exists()
    status = agent.status()
    assert status["healthy"] and status["landing_failure"] is None
    assert dict(_summary(status))["disk !"] == "cannot be read: 0 images lost, 1 tried again"


def test_an_sd_card_that_fails_for_some_time_loses_no_image(tmp_path, clock):
    """As in a night with a weak power supply, while the images of days wait."""
    agent = agent_of(tmp_path, clock, capture=EVERY_SECOND)
    take_frames(agent, clock, 30)
    paths = list((tmp_path / "store/images").iterdir())
    for path in paths:
        damaged(path)
    for _ in range(round(2.5 * PATIENCE_SECONDS)):
        agent.sender.work()
        clock.advance(1)
    status = agent.status()
    assert status["counts"] == {"lost": 2} and status["queue"]["images"] == 28
    assert dict(_summary(status))["disk !"] == "cannot be read: 2 images lost, 28 tried again"
    for path in paths:
        unreadable = tmp_path / "store" / UNREADABLE / path.name
        repair(unreadable if unreadable.is_symlink() else path)
    for _ in range(30):
        agent.sender.work()
        clock.advance(1)
    assert len(landed(tmp_path)) == 28 and agent.parts.queue.size()["images"] == 0
    agent.parts.store.close()
    agent = agent_of(tmp_path, clock, capture=NONE)
    live(agent, clock, 1)
    assert len(landed(tmp_path)) == 30 and agent.parts.store.counts() == {"sent": 30}
    assert "disk !" not in dict(_summary(agent.status()))


def test_a_worn_out_sd_card_does_not_fill_up_with_unreadable_files(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(queue_files, "MAX_UNREADABLE", 2)
    queue = queue_in(tmp_path)
    for _ in range(3):
        queue.keep(frame(), "x", Reason.PERIOD, clock.now())
        damaged(queue.path(queue.next()))
        queue.read(queue.next(), clock.uptime())
        clock.advance(PATIENCE_SECONDS)
        queue.read(queue.next(), clock.uptime())
    assert queue.store.counts() == {"lost": 3}
    assert len(list((tmp_path / UNREADABLE).iterdir())) == 2
    assert list((tmp_path / "images").iterdir()) == []


def test_an_image_dropped_meanwhile_does_not_count_as_lost(tmp_path, clock):
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    image = queue.next()
    queue.store.drop_images([image.id])
    assert queue.read(image, clock.uptime()) is None and queue.store.counts() == {}


def test_an_unreadable_file_without_a_row_does_not_stop_the_start(tmp_path, clock):
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    path = queue.path(queue.next())
    queue.store.drop_images([1])
    path.write_bytes(b"intact")
    damaged(path)
    queue.store.close()
    queue = queue_in(tmp_path)
    unreadable = tmp_path / UNREADABLE / path.name
    assert queue.next() is None and queue.store.counts() == {"lost": 1} and unreadable.is_symlink()
    queue.store.close()
    queue = queue_in(tmp_path)
    assert queue.next() is None and queue.store.counts() == {"lost": 1} and unreadable.is_symlink()
    queue.store.close()
    (tmp_path / f"intact {path.name}").rename(unreadable)
    queue = queue_in(tmp_path)
    assert queue.path(queue.next()) == path and queue.store.counts() == {}


def test_a_start_waits_for_at_most_one_failing_read_of_unreadable_files(tmp_path, monkeypatch):
    unreadable = tmp_path / UNREADABLE
    unreadable.mkdir()
    for number in range(5):
        (unreadable / f"period.{number:08x}.undated.jpg").symlink_to("/proc/self/mem")
    read, tried = Path.read_bytes, []
    monkeypatch.setattr(Path, "read_bytes", lambda path: tried.append(path) or read(path))
    queue_in(tmp_path)
    assert len(tried) == 1 and len(list(unreadable.iterdir())) == 5

"""Images that are dated later, and files that a kill, a power cut or a failing disk leaves."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from agent_fakes import NOON, FakeClock, agent_of, landed, send_all
from PIL import Image
from waiting_images import all_names, frame, queue_in

from edge.outbox.queue import Queue
from edge.outbox.queue_files import UNREADABLE, new_file_name
from edge.outbox.reason import Reason
from edge.outbox.result import Result
from edge.outbox.stamp import Stamp
from edge.outbox.store import DATABASE, Store

LONG_AGO = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)


def test_undated_images_get_their_right_time_once_the_clock_is_set(tmp_path):
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    queue.keep(frame(label="0"), "imx708", Reason.PERIOD, clock.now())
    clock.advance(600)
    queue.keep(frame(), "imx708", Reason.PERIOD, clock.now())
    assert queue.next() is None and queue.size()["undated"] == 2
    queue.date(clock.now())
    assert queue.next() is None
    clock.set_to(NOON)
    queue.date(clock.now())
    image = queue.next()
    assert image.name == "2026-07-13T11%3A50%3A00_rpi_sensor_a7_porch_0.jpg"
    with Image.open(queue.path(image)) as opened:
        assert opened.getexif()[0x0132] == "2026:07:13 11:50:00"
    assert [name[11:25] for name in all_names(queue)] == ["11%3A50%3A00_r", "12%3A00%3A00_r"]


@pytest.mark.parametrize("saved", [LONG_AGO, datetime(2026, 7, 11, 0, 3, tzinfo=UTC)])
def test_an_image_from_before_a_restart_gets_no_invented_date(tmp_path, saved):
    clock = FakeClock(saved, is_set=False)
    queue = queue_in(tmp_path)
    queue.keep(frame(), "imx708", Reason.PERIOD, clock.now())
    clock.restart(NOON)
    queue.date(clock.now())
    image = queue.next()
    assert image.name == "1970-01-01T00%3A03%3A00_rpi_sensor_a7_porch.jpg"
    with Image.open(queue.path(image)) as opened:
        assert 0x0132 not in opened.getexif()


def test_files_without_rows_are_recovered_and_incomplete_ones_deleted(tmp_path, clock):
    queue = queue_in(tmp_path)
    queue.keep(frame(1), "x", Reason.UNCERTAIN, clock.now())
    clock.advance(5)
    queue.keep(frame(2), "x", Reason.PERIOD, clock.now())
    with queue.store.database.transaction() as database:
        database.execute("DELETE FROM images")
    half = queue.store.image_folder / f".{new_file_name(Reason.MOTION, None)}.part"
    half.write_bytes(b"x")
    queue.store.close()
    names = all_names(queue_in(tmp_path))
    assert [name[11:25] for name in names] == ["12%3A00%3A00_r", "12%3A00%3A05_r"]
    assert list((tmp_path / "images").iterdir()) == []


def test_files_that_the_agent_did_not_make_stay_and_are_logged_in_one_line(tmp_path, caplog):
    names = ["photo.jpg", "labels.csv", ".half.part", "a.b.c.jpg", "period.1.x.jpg", "motion.txt"]
    files = [tmp_path / folder / name for folder in ("images", UNREADABLE) for name in names]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(str(file))
    queue = queue_in(tmp_path)
    assert [file.read_text() for file in files] == [str(file) for file in files]
    (line,) = caplog.messages
    assert queue.size()["images"] == 0 and "'.half.part'" in line


@pytest.mark.parametrize("left", ["old", "new", "both", "new, and the row as before"])
def test_a_kill_while_an_image_is_dated_leaves_it_exactly_once(tmp_path, left):
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    old = next((tmp_path / "images").iterdir())
    copy = shutil.copy(old, tmp_path / "copy")
    clock.set_to(NOON)
    if left == "new, and the row as before":  # a power cut undid the last seconds of the database
        queue.store.close()
        shutil.copy(tmp_path / DATABASE, tmp_path / "before")
        queue = queue_in(tmp_path)
        queue.date(clock.now())
        queue.store.close()
        shutil.copy(tmp_path / "before", tmp_path / DATABASE)
        queue = Queue(Store(tmp_path / "another"), 1, 0, "a7", "porch")
    elif left == "new":  # the row is changed, the old file not yet gone
        queue.date(clock.now())
        os.replace(copy, old)
    elif left == "both":  # the new file is there, its row not changed yet
        name = old.name.replace("undated.jpg", "2026-07-13T12%3A00%3A00_rpi_sensor_a7_porch.jpg")
        shutil.copy(old, old.with_name(name))
    queue.store.close()
    again = queue_in(tmp_path)
    again.date(clock.now())
    assert again.size()["images"] == 1
    assert len(all_names(again)) == 1 and list((tmp_path / "images").iterdir()) == []
    assert again.store.counts() == {"sent": 1}


class KilledError(Exception):
    """Simulates a kill: nothing after it runs."""


@pytest.mark.parametrize("at", ["unlink", "transaction"])
def test_a_kill_after_sending_loses_neither_the_image_nor_its_name(
    tmp_path, monkeypatch, clock, at
):
    def killed(*arguments, **options):
        raise KilledError

    agent = agent_of(tmp_path, clock)
    queue, results = agent.parts.queue, agent.parts.results
    number = queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    results.add(Result("m", "4", reason="x"), clock.now(), number)
    with monkeypatch.context() as kill:
        kill.setattr(Path if at == "unlink" else agent.parts.store.database, at, killed)
        with pytest.raises(KilledError):
            agent.sender.work()
    agent.parts.store.close()
    agent = agent_of(tmp_path, clock)
    send_all(agent)
    (file,) = (tmp_path / "landing").glob("results/a7/*.jsonl")
    assert [json.loads(file.read_bytes())["file_name"]] == landed(tmp_path)
    assert agent.parts.store.counts() == {"sent": 1}
    assert list((tmp_path / "store/images").iterdir()) == []


def test_an_image_that_cannot_be_dated_now_waits_and_delays_no_other(tmp_path):
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    clock.advance(10)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    file = queue.store.database.rows("SELECT file FROM images ORDER BY id")[0]["file"]
    name = "2026-07-13T11%3A59%3A50_rpi_sensor_a7_porch.jpg"
    in_the_way = tmp_path / "images" / file.replace("undated.jpg", name)
    in_the_way.mkdir()
    clock.set_to(NOON)
    queue.date(clock.now())
    assert [name[11:25] for name in all_names(queue)] == ["12%3A00%3A00_r"]
    in_the_way.rmdir()
    queue.date(clock.now())
    assert all_names(queue) == [name] and "lost" not in queue.store.counts()


def test_images_dropped_while_they_are_dated_do_not_count_as_lost(tmp_path, monkeypatch, caplog):
    """The queue is full, and the clock was just set: one thread drops what the other dates."""
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    numbers = [queue.keep(frame(), "x", Reason.PERIOD, clock.now()) for _ in range(2)]

    apply = Stamp.apply

    def dropped_meanwhile(*arguments):
        queue.store.drop_images(numbers)
        return apply(*arguments)

    monkeypatch.setattr(Stamp, "apply", dropped_meanwhile)
    clock.set_to(NOON)
    queue.date(clock.now())
    assert queue.size()["images"] == 0 and list((tmp_path / "images").iterdir()) == []
    assert queue.store.counts() == {} and caplog.records == []


@pytest.mark.parametrize("meanwhile", ["dated", "sent"])
def test_an_image_dated_or_sent_while_it_is_dropped_is_counted_once(
    tmp_path, monkeypatch, meanwhile
):
    clock = FakeClock(LONG_AGO)
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    if meanwhile == "sent":
        clock.set_to(NOON)
        queue.date(clock.now())
    queue.max_bytes = queue.size()["bytes"] + 1024
    with monkeypatch.context() as other_thread:
        transaction = queue.store.database.transaction

        def after_the_other_thread(**options):
            other_thread.undo()
            clock.set_to(NOON)
            queue.date(clock.now())
            if meanwhile == "sent":
                queue.mark_sent(queue.next(), "there.jpg")
            return transaction(**options)

        other_thread.setattr(queue.store.database, "transaction", after_the_other_thread)
        queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    assert len(list((tmp_path / "images").iterdir())) == queue.size()["images"] == 1
    assert queue.store.counts() == {"dropped" if meanwhile == "dated" else "sent": 1}

import io
import os
from datetime import timedelta, timezone

from agent_fakes import NOON, FakeClock
from PIL import Image
from waiting_images import all_names, frame, queue_in

from edge.cameras.camera import Exposure
from edge.outbox.database import DAMAGED
from edge.outbox.reason import Reason
from edge.outbox.store import DATABASE


def test_images_are_named_and_stamped_as_the_lake_expects(tmp_path, clock):
    queue = queue_in(tmp_path)
    kept = frame(label="1", exposure=Exposure(0.02, 250))
    assert queue.keep(kept, "imx708", Reason.PERIOD, clock.now())
    image = queue.next()
    assert image.name == "2026-07-13T12%3A00%3A00_rpi_sensor_a7_porch_1.jpg"
    with Image.open(queue.path(image)) as opened:
        exif = opened.getexif()
    assert exif[0x0110] == "imx708" and exif[0x0132] == "2026:07:13 12:00:00"


def test_a_device_in_another_zone_names_in_utc_and_keeps_its_own_time_in_exif(tmp_path):
    clock = FakeClock(NOON.astimezone(timezone(timedelta(hours=5, minutes=30))))
    queue = queue_in(tmp_path)
    queue.keep(frame(), "imx708", Reason.PERIOD, clock.now())
    image = queue.next()
    assert image.name == "2026-07-13T12%3A00%3A00_rpi_sensor_a7_porch.jpg"
    with Image.open(queue.path(image)) as opened:
        details = opened.getexif().get_ifd(0x8769)
    assert (details[0x9003], details[0x9011]) == ("2026:07:13 17:30:00", "+05:30")


def test_a_jpeg_file_keeps_its_bytes_and_other_formats_become_jpeg(tmp_path, clock):
    queue = queue_in(tmp_path)
    encoded = io.BytesIO()
    Image.new("RGB", (8, 8)).save(encoded, "JPEG")
    queue.keep(frame(encoded=encoded.getvalue()), "folder", Reason.PERIOD, clock.now())
    assert queue.path(queue.next()).read_bytes() == encoded.getvalue()
    queue.mark_sent(queue.next(), "x")
    queue.keep(frame(encoded=b"\x89PNG"), "folder", Reason.PERIOD, clock.now())
    assert queue.path(queue.next()).read_bytes().startswith(b"\xff\xd8")


def test_the_most_important_images_are_sent_first_then_the_oldest(tmp_path, clock):
    queue = queue_in(tmp_path)
    for name in ("PERIOD", "CONTROL", "PERIOD", "MANUAL_TRIGGER", "UNCERTAIN"):
        queue.keep(frame(), "x", Reason[name], clock.now())
        clock.advance(60)
    minutes = [name.split("%3A")[1] for name in all_names(queue)]
    assert minutes == ["03", "04", "01", "00", "02"]


def test_without_space_the_oldest_unimportant_images_are_dropped_and_counted(tmp_path, clock):
    queue = queue_in(tmp_path, most=6 * 1024)
    kept = []
    for number, reason in enumerate([Reason.UNCERTAIN] + [Reason.PERIOD] * 9):
        kept.append(queue.keep(frame(number), "x", reason, clock.now()))
        clock.advance(60)
    assert all(kept)
    size, dropped = queue.size(), queue.store.counts()["dropped"]
    assert size["bytes"] <= 6 * 1024 and size["images"] + dropped == 10
    minutes = [name.split("%3A")[1] for name in all_names(queue)]
    assert minutes[0] == "00" and minutes[1:] == [f"0{n}" for n in range(dropped + 1, 10)]


def test_an_unimportant_image_never_replaces_important_ones(tmp_path, clock):
    queue = queue_in(tmp_path, most=3 * 1024)
    while queue.store.counts().get("dropped", 0) == 0:
        queue.keep(frame(), "x", Reason.MOTION, clock.now())
        clock.advance(1)
    before = queue.size()
    assert queue.keep(frame(), "x", Reason.PERIOD, clock.now()) is None
    assert queue.size() == before and queue.store.counts()["dropped"] == 2


def test_the_minimum_of_free_space_stays_free(tmp_path, clock):
    queue = queue_in(tmp_path, floor=10**6, free=10**6 + 500)
    assert queue.keep(frame(), "x", Reason.MANUAL_TRIGGER, clock.now()) is None
    assert queue.store.counts() == {"dropped": 1} and queue.size()["images"] == 0


def test_other_files_that_fill_the_disk_do_not_empty_the_queue(tmp_path, clock):
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    queue.min_free_bytes, queue.free_bytes = 10**9, lambda _: 0
    assert queue.keep(frame(), "x", Reason.PERIOD, clock.now()) is None
    assert queue.size()["images"] == 1


def test_a_damaged_database_loses_no_image(tmp_path, clock):
    queue = queue_in(tmp_path)
    queue.keep(frame(), "x", Reason.PERIOD, clock.now())
    queue.store.close()
    (tmp_path / DATABASE).write_bytes(b"SQLite format 3\0" + os.urandom(8000))
    again = queue_in(tmp_path)
    assert (tmp_path / DAMAGED).exists() and again.size()["images"] == 1
    assert again.next().name.startswith("2026-07-13T12")

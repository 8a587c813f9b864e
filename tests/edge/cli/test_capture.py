import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from edge.cameras.camera import CameraSettings, Frame
from edge.cameras.folder import FolderCamera
from edge.cameras.jpeg import encode_jpeg
from edge.cli import capture as capturing
from edge.cli.capture import capture
from edge.cli.main import main

TIME = datetime(2026, 7, 13, 3, 4, 54, tzinfo=timezone(timedelta(hours=2)))


class Still:
    """A camera of given frames."""

    model = "imx708"

    def __init__(self, *frames):
        self._frames = frames

    def frames(self, count):
        yield from self._frames[:count]


def frame(minute=0, **fields) -> Frame:
    return Frame(np.full((48, 64, 3), 90, np.uint8), TIME + timedelta(minutes=minute), **fields)


def test_a_second_capture_adds_nothing(tmp_path):
    camera = Still(frame(0, label="0"), frame(1, label="1"))
    first = capture(camera, tmp_path / "landing", None, "1", "porch")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "landing").iterdir()}
    second = capture(camera, tmp_path / "landing", None, "1", "porch")
    assert (first.written, first.skipped) == (2, 0)
    assert (second.written, second.skipped) == (0, 2)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "landing").iterdir()}


def test_an_incomplete_file_is_never_visible(tmp_path, monkeypatch):
    def fail(source, target):
        assert source.name.startswith(".") and source.parent == target.parent
        assert not target.exists()
        raise OSError("the power fails")

    monkeypatch.setattr("edge.files.atomic.os.replace", fail)
    with pytest.raises(OSError, match="the power fails"):
        capture(Still(frame()), tmp_path, None, "1", "porch")
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []
    monkeypatch.undo()
    assert capture(Still(frame()), tmp_path, None, "1", "porch").written == 1
    assert [path.name.startswith(".") for path in tmp_path.iterdir()] == [False]


def test_files_keep_their_bytes_and_names(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    jpeg = encode_jpeg(frame(), "x")
    (source / "one.jpg").write_bytes(jpeg)
    Image.fromarray(frame().pixels).save(source / "one.png")
    done = capture(
        FolderCamera(CameraSettings(source=str(source))), tmp_path / "landing", None, "1", "porch"
    )
    assert done.written == 2
    assert (tmp_path / "landing" / "one.jpg").read_bytes() == jpeg
    with Image.open(tmp_path / "landing" / "one.png.jpg") as image:
        assert image.format == "JPEG"


def test_a_long_capture_shows_its_progress(tmp_path, monkeypatch, capsys):
    capture(Still(frame(0)), tmp_path, 1, "1", "porch")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(capturing, "QUIET_SECONDS", 0.0)
    clock = iter(range(0, 100, 2))
    monkeypatch.setattr(capturing.time, "monotonic", lambda: next(clock))
    capture(Still(frame(1), frame(2)), tmp_path, 2, "1", "porch")
    capture(Still(frame(3)), tmp_path, None, "1", "porch")
    shown = capsys.readouterr().err.splitlines()
    assert [line.rpartition(", ")[0] for line in shown] == [
        "1 of 2 frames",
        "2 of 2 frames",
        "1 frame",
    ]


@pytest.mark.slow
def test_the_command_writes_labelled_frames(tmp_path, capsys):
    command = ["capture", "--to", str(tmp_path), "--start", "2026-07-14T12:00:00", "--period", "10"]
    for count, written in (("1", "1 frame"), ("2", "1 frame"), ("2", "0 frames")):
        assert main([*command, "--count", count, "--device", "7", "--view", "gate"]) == 0
        assert capsys.readouterr().out.startswith(f"{written} written to {tmp_path}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:-5] for name in names] == [
        f"2026-07-14T12%3A{minute}%3A00_rpi_sensor_7_gate_" for minute in ("00", "10")
    ]
    assert all(name[-5] in "01" for name in names)
    captured_at = next(FolderCamera(CameraSettings(source=str(tmp_path))).frames(1)).captured_at
    assert captured_at == datetime(2026, 7, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--camera", "webcam"],
            "'webcam' is not a kind of camera: use picamera2[:NUMBER], opencv",
        ),
        (["--camera", "folder:"], "'' is not a source of folder:PATH: name a folder"),
        (["--camera", "opencv"], "'' is not a source of opencv:SOURCE: name a number, device"),
        (["--camera", "picamera2:/dev/video0"], "for picamera2 it is a camera's number"),
        (["--camera", "folder:/no/such/folder"], "no folder /no/such/folder"),
        (
            ["--start", "9998-12-31T23:59-12:00", "--period", "525600", "--count", "2"],
            "the last frame would be later than the year 9999: lower --count",
        ),
        (["--camera", "picamera2"], "sudo apt install -y python3-picamera2"),
    ],
)
def test_a_wrong_camera_is_one_line(tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.setitem(__import__("sys").modules, "picamera2", None)
    assert main(["capture", "--to", str(tmp_path / "landing"), *options]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err


@pytest.mark.parametrize("start", ["1970-01-01T00:00+14:00", "9998-12-31T23:59:59-14:00"])
def test_the_first_and_the_last_time_can_be_simulated(tmp_path, start):
    command = ["capture", "--to", str(tmp_path), "--start", start]
    assert main([*command, "--count", "2", "--period", "1440"]) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_an_image_longer_than_a_jpeg_can_be_is_named_in_one_line(tmp_path, capsys):
    Image.new("RGB", (70_000, 20)).save(tmp_path / "wide.png")
    assert main(["capture", "--to", str(tmp_path / "to"), "--camera", f"folder:{tmp_path}"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "wide.png cannot be written as JPEG" in said


def test_a_landing_folder_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["capture", "--to", str(tmp_path / "file"), "--count", "1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_written_stays_if_the_user_stops(tmp_path, capsys, monkeypatch):
    def shown(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(capturing, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(capturing, "_show_progress", shown)
    monkeypatch.setattr(capturing.time, "monotonic", iter(range(0, 100, 2)).__next__)
    assert main(["capture", "--to", str(tmp_path), "--count", "2"]) == 130
    assert capsys.readouterr().err == "" and len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_is_one_line_with_the_file(small_disk, capsys):
    with (small_disk / "full").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    assert main(["capture", "--to", str(small_disk / "landing"), "--count", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"edge capture: {small_disk}/landing/2026-07-13T00%3A15%3A00_rpi_")
    assert said.endswith(".jpg: No space left on device: delete something there\n")


def test_a_read_only_disk_is_one_line(small_disk, capsys):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert main(["capture", "--to", str(small_disk / "landing"), "--count", "1"]) == 1
    assert capsys.readouterr().err == (
        f"edge capture: {small_disk}/landing: Read-only file system: make its file system "
        "writable, or name another folder\n"
    )

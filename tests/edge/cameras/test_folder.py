import errno
import io
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.cameras import folder
from edge.cameras.camera import CameraSettings
from edge.cameras.errors import CameraError, NoNewFrameError, UnreadableFrameError
from edge.cameras.folder import FolderCamera


def camera_of(folder):
    return FolderCamera(CameraSettings(source=str(folder)))


def image(colour=(200, 100, 50), size=(40, 30), format="JPEG", exif=None) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format, **({} if exif is None else {"exif": exif}))
    return file.getvalue()


def test_images_come_sorted_with_their_bytes_and_names(tmp_path):
    for name in ("b.jpg", "a.JPEG", ".hidden.jpg", "notes.txt", "c.png"):
        format = "PNG" if name.endswith("png") else "JPEG"
        (tmp_path / name).write_bytes(image(format=format))
    frames = list(camera_of(tmp_path).frames(None))
    assert [frame.file_name for frame in frames] == ["a.JPEG", "b.jpg", "c.png"]
    assert all(frame.encoded == (tmp_path / frame.file_name).read_bytes() for frame in frames)
    assert all(frame.image is frame.encoded and frame.label is None for frame in frames)
    assert [frame.file_name for frame in camera_of(tmp_path).frames(2)] == ["a.JPEG", "b.jpg"]


def test_pixels_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "turned.jpg").write_bytes(image(exif=exif))
    frame = next(camera_of(tmp_path).frames(1))
    assert frame.pixels.shape == (40, 30, 3) and frame.pixels.dtype == np.uint8


def test_an_image_of_16_bits_keeps_its_greys(tmp_path):
    grey = np.linspace(0, 65535, 40 * 30).astype(np.uint16).reshape(30, 40)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    frame = next(camera_of(tmp_path).frames(1))
    np.testing.assert_array_equal(frame.pixels[..., 0], grey >> 8)


@pytest.mark.parametrize(
    ("written", "offset", "expected"),
    [
        ("2026:07:13 03:04:54", "+02:00", datetime(2026, 7, 13, 1, 4, 54, tzinfo=UTC)),
        ("2026:07:13 03:04:54", None, datetime(2026, 7, 13, 3, 4, 54).astimezone()),
        ("2026:07:13 03:04:54", "  :  ", datetime(2026, 7, 13, 3, 4, 54).astimezone()),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", "+00:00", None),
        ("0001:01:01 00:00:00", "+03:00", None),
        ("9999:12:31 23:59:59", "-02:00", None),
        (None, None, None),
    ],
)
def test_the_capture_time_is_that_of_exif_or_else_of_the_file(tmp_path, written, offset, expected):
    exif = Image.Exif()
    if written:
        exif.get_ifd(0x8769)[0x9003] = written
    if offset:
        exif.get_ifd(0x8769)[0x9011] = offset
    path = tmp_path / "a.jpg"
    path.write_bytes(image(exif=exif))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    captured_at = next(camera_of(tmp_path).frames(1)).captured_at
    assert captured_at == (expected or datetime.fromtimestamp(1_700_000_000, UTC))
    if offset == "+02:00":
        assert captured_at.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0II*\0\x08\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\xff\xff\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x02\0\x04\0\0\0abc\0\0\0\0\0",
    ],
    ids=[
        "no byte order",
        "truncated",
        "beyond its end",
        "no fraction there",
        "a text for a folder",
    ],
)
def test_damaged_exif_does_not_damage_the_image(tmp_path, format, exif):
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(image(format=format, exif=exif))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    camera = camera_of(tmp_path)
    with camera.shot() as shot:
        frames = [shot.frame(), *camera.frames(None)]
        assert not shot.has_own_time
    for frame in frames:
        assert frame.pixels.shape == (30, 40, 3)
        assert frame.captured_at.timestamp() == 1_700_000_000


def test_a_missing_an_empty_and_a_damaged_folder_are_named(tmp_path):
    with pytest.raises(CameraError, match="no folder .*nowhere"):
        list(camera_of(tmp_path / "nowhere").frames(None))
    with pytest.raises(CameraError, match="no image in"):
        list(camera_of(tmp_path).frames(None))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (image()[:200], "Truncated"),
        (image(format="PNG")[:-30], "truncated|broken"),
        (b"a shopping list", "not an image: its format is unknown"),
        (b"", "empty"),
    ],
    ids=["cut JPEG", "cut PNG", "text", "nothing"],
)
def test_a_file_that_is_not_an_image_is_named_with_the_reason(tmp_path, content, why):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(CameraError, match=rf"/a\.jpg is not a readable image \(.*({why})") as said:
        list(camera_of(tmp_path).frames(None))
    assert "object at" not in str(said.value)


@pytest.mark.parametrize("end", [b"", b"\xff\xd9", bytes(500)], ids=["cut", "ended", "zeros"])
def test_half_a_jpeg_is_not_shot(tmp_path, end):
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    complete = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(complete[: len(complete) // 2] + end)
    camera = camera_of(tmp_path)
    camera.open()
    missing = pytest.raises((UnreadableFrameError, CameraError), match="% of the rows are missing")
    with missing, camera.shot() as shot:
        _ = shot.frame().pixels


def test_a_shot_is_of_the_newest_image_and_each_is_shot_once(tmp_path):
    camera = camera_of(tmp_path)
    camera.open()
    with pytest.raises(NoNewFrameError), camera.shot():
        pass
    for number, name in enumerate(["b.jpg", "a.jpg", "c.txt"]):
        Image.new("RGB", (8, 8)).save(tmp_path / name, "JPEG")
        os.utime(tmp_path / name, (1_700_000_000 + number,) * 2)
    with camera.shot() as shot:
        assert shot.image == (tmp_path / "a.jpg").read_bytes()
        assert shot.frame().file_name == "a.jpg" and shot.captured_at.timestamp() == 1_700_000_001
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(NoNewFrameError), camera.shot():
        pass


def test_a_file_dated_in_the_future_is_shot_once_and_hides_none_that_comes_later(tmp_path):
    camera = camera_of(tmp_path)
    for name, future in [("a.jpg", True), ("b.jpg", False), ("c.jpg", True), ("d.jpg", False)]:
        (tmp_path / name).write_bytes(image())
        if future:
            os.utime(tmp_path / name, (time.time() + 10 * 365 * 86_400,) * 2)
        with camera.shot() as shot:
            assert shot.frame().file_name == name
            assert abs(shot.captured_at.timestamp() - time.time()) < 60
        with pytest.raises(NoNewFrameError), camera.shot():
            pass


def test_a_shot_decodes_its_pixels_only_if_they_are_asked_for(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(image())
    decoded, read = [], folder._read
    monkeypatch.setattr(
        folder, "_read", lambda path, *rest: decoded.append(path) or read(path, *rest)
    )
    with camera_of(tmp_path).shot() as shot:
        frame = shot.frame()
        assert (frame.encoded, frame.file_name, decoded) == (image(), "a.jpg", [])
        assert frame.pixels.shape == frame.pixels.shape == (30, 40, 3)
    assert decoded == [tmp_path / "a.jpg"]


def test_an_incomplete_image_is_read_once_it_is_complete(tmp_path):
    camera = camera_of(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(NoNewFrameError, match="a.jpg is not a readable image"), camera.shot():
        pass
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with camera.shot() as shot:
        assert shot.frame().pixels.shape == (8, 8, 3)


def test_a_file_that_is_not_an_image_is_named_until_another_comes(tmp_path):
    camera = camera_of(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"a shopping list")
    for _ in range(3):
        with pytest.raises(UnreadableFrameError, match="a.jpg is not a readable"), camera.shot():
            pass
    (tmp_path / "b.jpg").write_bytes(image())
    with camera.shot() as shot:
        assert shot.frame().file_name == "b.jpg"
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(NoNewFrameError) as said, camera.shot():
        pass
    assert not isinstance(said.value, UnreadableFrameError)


def test_a_file_that_cannot_be_read_is_a_camera_error(tmp_path):
    camera = camera_of(tmp_path)
    (tmp_path / "a.jpg").symlink_to("/proc/self/mem")  # its first byte is never given
    for _ in range(2):
        with pytest.raises(CameraError, match=r"/a\.jpg cannot be read \(.*let this") as said:
            camera.shot().__enter__()
        assert not isinstance(said.value, NoNewFrameError)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "a.jpg").write_bytes(image())
    with camera.shot() as shot:
        assert shot.image == image()


def test_an_image_that_is_removed_during_its_shot_is_kept_with_its_time(tmp_path):
    camera = camera_of(tmp_path)
    (tmp_path / "a.jpg").write_bytes(image())
    os.utime(tmp_path / "a.jpg", (1_700_000_000, 1_700_000_000))
    with camera.shot() as shot:
        (tmp_path / "a.jpg").unlink()
        frame = shot.frame()
    assert frame.encoded == image() and frame.captured_at == shot.captured_at
    assert frame.captured_at.timestamp() == 1_700_000_000


def test_a_missing_folder_is_a_camera_error(tmp_path):
    camera = camera_of(tmp_path / "gone")
    with pytest.raises(CameraError, match="no folder"):
        camera.open()


def test_a_folder_that_this_user_may_not_read_is_not_called_missing(tmp_path, monkeypatch):
    """Root may read anything, so the system's answer is replaced."""

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    why = rf"^{tmp_path} cannot be read \(Permission denied\): let this user read it"
    with pytest.raises(CameraError, match=why):
        camera_of(tmp_path).open()


def test_a_folder_below_the_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(image())
    assert [frame.file_name for frame in camera_of("~/images").frames(None)] == ["a.jpg"]


@pytest.mark.timeout(20)
def test_what_is_no_file_is_no_image(tmp_path):
    """A directory, a pipe that nobody writes to, and a device without end, all the newest."""
    (tmp_path / "a.jpg").write_bytes(image())
    os.utime(tmp_path / "a.jpg", (1, 1))
    camera = camera_of(tmp_path)
    (tmp_path / "b.jpg").mkdir()
    os.mkfifo(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").symlink_to("/dev/zero")
    (tmp_path / "e.jpg").symlink_to(tmp_path / "e.jpg")  # leads to itself
    with camera.shot() as shot:
        assert shot.image == image()
    assert [frame.file_name for frame in camera.frames(None)] == ["a.jpg"]


def test_a_file_above_the_limit_is_not_read(tmp_path):
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(1 << 40)
    for ask in (camera_of(tmp_path).shot().__enter__, lambda: next(camera_of(tmp_path).frames(1))):
        with pytest.raises(CameraError, match=r"huge\.jpg is not a readable image.*too large"):
            ask()

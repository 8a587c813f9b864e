"""The driver against a stand-in that has what cv2 has, and against OpenCV itself where it is."""

import sys
import threading
import time
import types

import numpy as np
import pytest

from edge.cameras.camera import CameraSettings
from edge.cameras.errors import CameraError, StalledError
from edge.cameras.opencv import OpenCVCamera


class VideoCapture:
    """A camera that hands out its frames in order, each with its number in it, B, G, R."""

    stalls_after: int | None = None
    hangs: threading.Event | None = None
    released = 0

    def __init__(self, source, backend=None, limits=()):
        assert (backend is None) == (not {":", "@"} & set(str(source))), "others print the password"
        self.source, self.number, self.thread, self.size = source, 0, None, {}
        self.hung = VideoCapture.hangs

    def isOpened(self):  # noqa: N802
        return self.source != "/dev/none"

    def set(self, key, value):
        self.size[key] = value
        return True

    def grab(self):
        assert self.thread in (None, threading.get_ident()), "OpenCV is not made for two threads"
        self.thread = threading.get_ident()
        if self.hung:
            self.hung.wait()
        if self.stalls_after is not None and self.number >= self.stalls_after:
            return False
        time.sleep(0.002)
        self.number += 1
        return True

    def retrieve(self):
        assert self.thread == threading.get_ident()
        pixels = np.zeros((4, 6, 3), np.uint8)
        pixels[..., 0], pixels[..., 2] = 9, self.number % 250
        return True, pixels

    def release(self):
        VideoCapture.released += 1


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("cv2")
    module.VideoCapture = VideoCapture
    module.CAP_FFMPEG = 1900
    module.CAP_PROP_OPEN_TIMEOUT_MSEC, module.CAP_PROP_READ_TIMEOUT_MSEC = 53, 54
    module.CAP_PROP_FRAME_WIDTH, module.CAP_PROP_FRAME_HEIGHT = 3, 4
    monkeypatch.setitem(sys.modules, "cv2", module)
    monkeypatch.setattr(VideoCapture, "released", 0)
    return monkeypatch


def test_frames_are_rgb_and_the_newest(stand_in):
    camera = OpenCVCamera(CameraSettings(source="0", size=(640, 480)))
    camera.open()
    assert camera._feed.capture.source == 0 and camera._feed.capture.size == {3: 640, 4: 480}
    with camera.shot() as shot:
        first = int(shot.image[0, 0, 0])
        assert shot.image[0, 0].tolist()[1:] == [0, 9] and shot.frame().pixels is shot.image
    passed = camera._feed.capture.number + 20
    while camera._feed.capture.number < passed:
        time.sleep(0.005)
    with camera.shot() as shot:
        assert shot.image[0, 0, 0] >= first + 20
    camera.close()
    camera.close()
    assert VideoCapture.released == 1


def test_a_camera_that_stops_is_stalled_and_can_be_opened_again(stand_in):
    stand_in.setattr(VideoCapture, "stalls_after", 0)
    camera = OpenCVCamera(CameraSettings(source="rtsp://porch", stalled_seconds=0.05))
    camera.open()
    with pytest.raises(StalledError, match="of rtsp://porch has ended"), camera.shot():
        pass
    camera.close()
    stand_in.setattr(VideoCapture, "stalls_after", None)
    assert len(list(camera.frames(2))) == 2 and VideoCapture.released == 2


def test_a_thread_that_hung_in_the_driver_ends_without_a_frame(stand_in):
    hangs = threading.Event()
    stand_in.setattr(VideoCapture, "hangs", hangs)
    camera = OpenCVCamera(CameraSettings(source="0", stalled_seconds=0.05))
    camera.open()
    with pytest.raises(StalledError, match="no frame from 0 within"), camera.shot():
        pass
    left_behind = camera._feed
    camera.close()
    assert VideoCapture.released == 0
    stand_in.setattr(VideoCapture, "hangs", None)
    camera.open()
    hangs.set()
    left_behind._thread.join(5)
    assert not left_behind._thread.is_alive() and VideoCapture.released == 1
    assert left_behind.capture.number == 1  # the frame that it hung in
    with camera.shot() as shot:
        assert shot.image.shape == (4, 6, 3)
    camera.close()
    assert VideoCapture.released == 2


def test_a_camera_that_is_not_there_is_named(stand_in):
    with pytest.raises(CameraError, match="cannot open '/dev/none'"):
        OpenCVCamera(CameraSettings(source="/dev/none")).open()
    assert VideoCapture.released == 1


def test_a_cameras_password_is_not_shown(stand_in):
    stand_in.setattr(VideoCapture, "stalls_after", 0)
    camera = OpenCVCamera(CameraSettings(source="rtsp://me:secret@porch/1", stalled_seconds=0.05))
    camera.open()
    assert camera._feed.capture.source == "rtsp://me:secret@porch/1"
    with pytest.raises(StalledError, match="of rtsp://porch/1 has ended"), camera.shot():
        pass
    camera.close()
    stand_in.setattr(VideoCapture, "isOpened", lambda capture: False)
    with pytest.raises(CameraError, match="cannot open 'rtsp://porch/1'"):
        camera.open()


@pytest.mark.parametrize("source", ["rtsp:/me:secret@porch/1", "me:secr/et@porch/1"])
def test_nor_is_that_of_a_malformed_address(stand_in, source):
    stand_in.setattr(VideoCapture, "isOpened", lambda capture: False)
    with pytest.raises(CameraError, match="cannot open 'porch/1': check address, user"):
        OpenCVCamera(CameraSettings(source=source)).open()


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CameraError, match="sudo apt install -y python3-opencv"):
        OpenCVCamera(CameraSettings(source="0")).open()


def test_opencv_itself_reads_a_video(real_opencv, tmp_path):
    cv2 = real_opencv
    path = str(tmp_path / "porch.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(2000):
        writer.write(np.full((48, 64, 3), (10, 120, 200), np.uint8))
    writer.release()
    (frame,) = OpenCVCamera(CameraSettings(source=path)).frames(1)
    assert frame.pixels.shape == (48, 64, 3)
    assert np.abs(frame.pixels.astype(int) - (200, 120, 10)).max() < 10

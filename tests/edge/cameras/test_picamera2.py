"""The driver against a stand-in that has no more than picamera2 0.3.38 has, and the real one."""

import importlib.util
import sys
import time
import types
from datetime import timedelta

import numpy as np
import picamera2_stand_in
import pytest
from picamera2_stand_in import Picamera2, Transform, pattern

from edge.cameras import picamera2 as driver
from edge.cameras.camera import CameraSettings, Exposure
from edge.cameras.errors import CameraError, StalledError
from edge.cameras.picamera2 import Picamera2Camera


@pytest.fixture
def stand_in(monkeypatch):
    libcamera = types.ModuleType("libcamera")
    libcamera.Transform = Transform
    monkeypatch.setitem(sys.modules, "picamera2", picamera2_stand_in)
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(Picamera2, "closed", 0)
    monkeypatch.setattr(Picamera2, "open_cameras", 0)
    return monkeypatch


def test_frames_are_rgb_of_the_size_asked_for(stand_in):
    camera = Picamera2Camera(CameraSettings(size=(160, 120)))
    frames = list(camera.frames(2))
    assert [frame.pixels.shape for frame in frames] == [(120, 160, 3)] * 2
    assert np.array_equal(frames[0].pixels, pattern(120, 160))
    assert frames[0].captured_at.tzinfo is not None and frames[0].label is None
    assert frames[0].exposure == Exposure(0.02, 200)
    assert camera.model == "imx708" and Picamera2.closed == 1


def test_the_scored_image_is_the_small_stream_of_the_same_moment(stand_in):
    camera = Picamera2Camera(CameraSettings(size=(640, 480), scored_size=(100, 90)))
    camera.open()
    with camera.shot() as shot:
        assert shot.image.shape == (90, 100, 3)
        assert np.abs(shot.image.astype(int) - pattern(90, 100))[[0, -1]].max() <= 3
        assert camera._camera.taken == 1
        frame = shot.frame()
        assert frame.pixels.shape == (480, 640, 3) and frame.captured_at == shot.captured_at
        assert camera._camera.taken == 1
    camera.close()


@pytest.mark.parametrize("pixel_format", ["NV12", "YUYV", "MJPEG", "RGB888", "XBGR8888"])
def test_a_camera_at_usb_gives_what_it_has(stand_in, pixel_format):
    stand_in.setattr(Picamera2, "at_the_ribbon", False)
    stand_in.setattr(Picamera2, "gives_instead", pixel_format)
    camera = Picamera2Camera(CameraSettings(size=(160, 120)))
    camera.open()
    with camera.shot() as shot:
        frame = shot.frame()
        assert shot.image is frame.pixels
    camera.close()
    assert np.abs(frame.pixels.astype(int) - pattern(120, 160))[[0, -1]].max() <= 3
    assert frame.exposure is None


def test_a_small_image_still_shows_the_full_view(stand_in):
    camera = Picamera2Camera(CameraSettings(size=(640, 480)))
    camera.open()
    assert camera._camera.config["raw"]["size"] == (2304, 1296)
    assert camera._camera.config["controls"] == {"AfMode": 2}
    camera.close()


def test_controls_and_rotation_reach_the_camera(stand_in):
    camera = Picamera2Camera(
        CameraSettings(controls={"ExposureTime": 20000, "AfMode": 0}, upside_down=True)
    )
    camera.open()
    assert camera._camera.config["controls"] == {"ExposureTime": 20000, "AfMode": 0}
    assert camera._camera.config["transform"].hflip and camera._camera.config["transform"].vflip
    camera.close()


def test_a_control_that_the_camera_lacks_is_named_and_leaves_it_closed(stand_in):
    with pytest.raises(CameraError, match="Control ExposureTimes is not advertised"):
        Picamera2Camera(CameraSettings(controls={"ExposureTimes": 1})).open()
    assert Picamera2.open_cameras == 0


def test_a_stalled_camera_is_reported_and_can_be_opened_again(stand_in):
    stand_in.setattr(Picamera2, "stalls_after", 1)
    camera = Picamera2Camera(CameraSettings(stalled_seconds=0.1))
    camera.open()
    with camera.shot():
        pass
    with pytest.raises(StalledError, match=r"no frame within 0\.1 s"), camera.shot():
        pass
    camera.close()
    camera.open()
    with camera.shot() as shot:
        assert shot.image.any()
    camera.close()
    camera.close()
    assert Picamera2.open_cameras == 0


def test_a_camera_in_use_is_one_line(stand_in):
    first = Picamera2Camera(CameraSettings())
    first.open()
    with pytest.raises(CameraError, match="end other programs that use it"):
        Picamera2Camera(CameraSettings()).open()
    first.close()


def test_frames_come_one_a_period(stand_in):
    begin = time.monotonic()
    assert len(list(Picamera2Camera(CameraSettings(period=timedelta(seconds=0.1))).frames(4))) == 4
    assert 0.3 <= time.monotonic() - begin < 2


def test_the_camera_is_closed_when_the_caller_stops_early(stand_in):
    frames = Picamera2Camera(CameraSettings()).frames(None)
    next(frames)
    frames.close()
    assert Picamera2.closed == 1


def test_a_missing_camera_is_named(stand_in):
    with pytest.raises(CameraError, match="no camera number 1"):
        list(Picamera2Camera(CameraSettings(source="1")).frames(1))


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="sudo apt install -y python3-picamera2"):
        list(Picamera2Camera(CameraSettings()).frames(1))


@pytest.mark.skipif(
    importlib.util.find_spec("libcamera") is None,
    reason="libcamera is missing: the real camera can be tried only on a Raspberry Pi",
)
def test_the_real_camera_delivers():
    frame = next(Picamera2Camera(CameraSettings()).frames(1))
    assert frame.pixels.shape == (480, 640, 3) and frame.pixels.std() > 0

"""The driver against a stand-in that has no more than picamera2 0.3.38 has, and the real one."""

import contextlib
import importlib.util
import sys
import time
import types
from datetime import timedelta

import numpy as np
import pytest

from edge.cameras import picamera2 as driver
from edge.cameras.camera import CameraError
from edge.cameras.picamera2 import Picamera2Camera

STREAM_KEYS = {"format", "size", "stride", "preserve_ar"}
RGB_IN_MEMORY = {"BGR888": (10, 20, 30), "RGB888": (30, 20, 10)}


class StandIn:
    """Refuses each call, argument and key that picamera2 0.3.38 refuses, and calls out of order."""

    cameras = [{"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/i2c", "Num": 0}]
    closed = 0

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if camera_num >= len(self.cameras):
            raise RuntimeError(f"No camera number {camera_num} found")
        self.config, self.started, self.held = None, False, 0

    @staticmethod
    def global_camera_info():
        return StandIn.cameras

    @property
    def camera_properties(self):
        return {"Model": "imx708", "ColorFilterArrangement": 2}

    def create_still_configuration(self, main={}, lores=None, raw={}, *, buffer_count=1):  # noqa: B006
        if set(main) - STREAM_KEYS:
            raise ValueError(f"Bad key: valid stream configuration keys are {STREAM_KEYS}")
        return {"main": {"format": "BGR888", "size": (4608, 2592), **main}, "raw": raw}

    def configure(self, camera_config=None):
        assert not self.started
        self.config = camera_config

    def start(self, config=None, show_preview=False):
        assert self.config is not None
        self.started = True

    @contextlib.contextmanager
    def captured_request(self, wait=None, flush=None):
        assert self.started and self.held == 0
        self.held += 1
        try:
            yield StandInRequest(self)
        finally:
            self.held -= 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        assert self.held == 0
        StandIn.closed += 1
        self.started = False


class StandInRequest:
    def __init__(self, camera):
        self.camera = camera

    def make_array(self, name):
        if name not in self.camera.config or self.camera.held != 1:
            raise RuntimeError(f"Stream {name!r} is not defined")
        stream = self.camera.config[name]
        width, height = stream["size"]
        return np.full((height, width, 3), RGB_IN_MEMORY[stream["format"]], np.uint8)


@pytest.fixture
def stand_in(monkeypatch):
    module = types.ModuleType("picamera2")
    module.Picamera2 = StandIn
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(driver, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(StandIn, "closed", 0)


def test_frames_are_rgb_of_the_size_asked_for(stand_in):
    camera = Picamera2Camera(timedelta(seconds=0), size=(120, 160))
    frames = list(camera.frames(2))
    assert [frame.pixels.shape for frame in frames] == [(120, 160, 3)] * 2
    assert frames[0].pixels[0, 0].tolist() == [10, 20, 30]
    assert frames[0].captured_at.tzinfo is not None and frames[0].label is None
    assert camera.model == "imx708" and StandIn.closed == 1


def test_frames_come_one_a_period(stand_in):
    begin = time.monotonic()
    assert len(list(Picamera2Camera(timedelta(seconds=0.1)).frames(4))) == 4
    assert 0.3 <= time.monotonic() - begin < 2


def test_the_camera_is_closed_when_the_caller_stops_early(stand_in):
    frames = Picamera2Camera(timedelta(seconds=0)).frames(None)
    next(frames)
    frames.close()
    assert StandIn.closed == 1


def test_a_missing_camera_is_named(stand_in):
    with pytest.raises(CameraError, match="no camera number 1"):
        list(Picamera2Camera(timedelta(0), number=1).frames(1))


def test_a_missing_library_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="sudo apt install -y python3-picamera2"):
        list(Picamera2Camera(timedelta(0)).frames(1))


@pytest.mark.skipif(
    importlib.util.find_spec("libcamera") is None,
    reason="libcamera is missing: the real camera can be tried only on a Raspberry Pi",
)
def test_the_real_camera_delivers():
    frame = next(Picamera2Camera(timedelta(0)).frames(1))
    assert frame.pixels.shape == (480, 640, 3) and frame.pixels.std() > 0

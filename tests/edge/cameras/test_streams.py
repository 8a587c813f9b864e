"""A network camera whose stream is cut again and again, read by OpenCV itself."""

import threading
import time

import pytest
from agent_fakes import settings
from stream import Stream

from edge.agent import machine, watcher
from edge.agent.agent import Agent
from edge.cameras.camera import CameraSettings
from edge.cameras.errors import CameraError
from edge.cameras.opencv import OpenCVCamera

CUTS = 20


def source(port: int) -> CameraSettings:
    return CameraSettings("opencv", f"http://me:secret@127.0.0.1:{port}/porch", stalled_seconds=5)


@pytest.mark.slow
def test_after_each_cut_frames_come_again_and_nothing_grows(
    real_opencv,
    tmp_path,
    monkeypatch,
    capfd,
    caplog,
):
    monkeypatch.setattr(watcher, "FIRST_PAUSE_SECONDS", 0.05)
    stream = Stream()
    agent = Agent(settings(tmp_path), camera=OpenCVCamera(source(stream.server_port)))
    take, state = agent.parts.watcher.take_frame, agent.parts.watcher.state
    memory = []
    for cut in range(CUTS + 1):
        frames, end = state.frames, time.monotonic() + 60
        while state.frames < frames + 3:
            assert time.monotonic() < end, state.failure
            take()
        assert state.failure is None
        memory.append(machine.memory_megabytes())
        port, at = stream.cut(), time.monotonic()
        while state.failure is None:
            take()
        assert time.monotonic() - at < 3, "a cut is noticed at once"
        if cut < CUTS:
            stream = Stream(port)
    agent.parts.watcher.close()
    assert state.restarts >= CUTS
    assert max(memory[3:]) - memory[3] < 10
    assert sum("drain" in thread.name for thread in threading.enumerate()) == 0
    shown = "".join(capfd.readouterr()) + caplog.text + str(agent.status())
    assert f"the stream of http://127.0.0.1:{port}/porch has ended" in shown
    assert "secret" not in shown


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_does_not_answer_is_named_without_its_password(
    real_opencv,
    capfd,
    scheme,
):
    camera = OpenCVCamera(CameraSettings("opencv", f"{scheme}://me:secret@127.0.0.1:9/x"))
    with pytest.raises(CameraError, match=f"cannot open '{scheme}://127.0.0.1:9/x': check"):
        camera.open()
    assert "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("source", ["rtsp:/me:secret@127.0.0.1:9/x", "me:secr/et@127.0.0.1:9/x"])
def test_of_a_malformed_address_opencv_itself_prints_nothing(real_opencv, capfd, source):
    with pytest.raises(CameraError, match="cannot open '127.0.0.1:9/x': check address"):
        OpenCVCamera(CameraSettings("opencv", source)).open()
    assert "secr" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_a_shot_is_the_latest_frame(real_opencv):
    stream = Stream()
    camera = OpenCVCamera(source(stream.server_port))
    camera.open()
    try:
        for _ in range(3):
            time.sleep(0.5)
            with camera.shot() as shot:
                behind = (stream.number - int(shot.image[0, 0, 0])) % 250
            assert behind < 10, "of 50 a second"
    finally:
        camera.close()
        stream.cut()

"""The agent's first frames with a new release commit it or roll it back."""

import resource
import time
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
from agent_fakes import NOBODY, NOON, agent_of
from onnx import helper, numpy_helper
from release_server import MODEL
from tiny_model import write_model, write_reference_images

from edge.agent.frame_marker import FrameMarker
from edge.agent.model import FORGIVEN_SECONDS, FRAMES_OF_PROBATION, AgentModel
from edge.agent.settings import ModelSettings, StoreSettings
from edge.cameras.camera import Frame, Shot
from edge.update.current import CurrentModel
from edge.update.probation import MAX_STARTS

GREY, WHITE = (Shot.of(Frame(np.full((64, 48, 3), value, np.uint8), NOON)) for value in (128, 255))


@pytest.fixture
def blinded(updated, tmp_path):
    """Release 2 is good on its reference images, and knows nothing of a white frame."""
    folder = write_model(tmp_path / "blinded")
    model = onnx.load(folder / "model.onnx")
    nodes = list(model.graph.node)
    softmax = next(node for node in nodes if node.op_type == "Softmax")
    softmax.input[0] = "blinded"
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.float32([value]), name)
            for name, value in (("bright", 250), ("no", 0))
        ]
    )
    extra = [
        helper.make_node("Sub", ["bright", "means"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),  # of a negative number for a white frame
        helper.make_node("ReduceMax", ["root"], ["most"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["most", "no"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["blinded"]),
    ]
    place = nodes.index(softmax)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *extra, *nodes[place:]])
    onnx.save(model, folder / "model.onnx")
    updated.server.release(write_reference_images(folder), 2)
    updater = updated.updater()
    assert updater.check().release == 2
    return updated, updater, AgentModel(updated.home, "a7", 1, updater.probation, time.monotonic)


def test_good_frames_commit_the_release(blinded):
    _, updater, model = blinded
    for frame in range(FRAMES_OF_PROBATION):
        assert updater.probation.is_active(), frame
        model.refresh()
        assert model.score(GREY).reason is None
    assert not updater.probation.is_active() and model.current.release == 2


def test_a_frame_on_which_it_fails_rolls_it_back(blinded):
    device, updater, model = blinded
    model.refresh()
    assert "are not probabilities" in model.score(WHITE).reason
    model.refresh()
    assert model.score(WHITE).reason is None and model.current.release == 1
    assert device.require_working(1)
    assert updater.check() is None and "fails on a real frame" in updater.refusal


def test_frames_are_scored_while_the_disk_is_full(blinded):
    """Neither end of the probation can be written down; once there is room, it is."""
    device, updater, model = blinded
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        for _ in range(FRAMES_OF_PROBATION + 2):
            model.refresh()
            assert model.score(GREY).reason is None
        assert updater.probation.is_active() and "delete something there" in model.failure
        assert "are not probabilities" in model.score(WHITE).reason
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert updater.probation.is_active() and device.home.is_dir()
    for _ in range(FRAMES_OF_PROBATION):
        model.refresh()
        model.score(GREY)
    assert not updater.probation.is_active() and model.failure is None


@pytest.fixture
def damaged(updated):
    """Release 2 was switched to, and then a byte of its network was lost."""
    updater = updated.updater()
    assert updater.check().release == 2
    network = updated.home / "release-2" / "model.onnx"
    network.write_bytes(network.read_bytes()[:-1])
    return updated, updater, AgentModel(updated.home, "a7", 1, updater.probation, time.monotonic)


def test_a_release_that_does_not_load_is_rolled_back(damaged):
    device, updater, model = damaged
    for _ in range(FRAMES_OF_PROBATION):
        model.refresh()
        assert model.score(GREY).reason is None and model.current.release == 1
    assert not updater.probation.is_active() and model.failure is None and device.require_working(1)
    assert updater.check() is None and "does not load" in updater.refusal


def test_frames_of_the_previous_release_do_not_count(damaged, monkeypatch):
    """Neither good ones nor bad ones; while the disk takes nothing, it cannot be undone either."""
    device, updater, model = damaged
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        for _ in range(FRAMES_OF_PROBATION + 1):
            model.refresh()
            assert model.score(GREY).reason is None and model.current.release == 1
        assert updater.probation.is_active() and "delete something there" in model.failure
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    nothing = np.full((1, 2), np.nan, np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(model.current.scorer, "score_prepared", lambda pixels: nothing)
        assert "are not probabilities" in model.score(GREY).reason
    assert updater.probation.is_active() and updater.home.state.failures == {}
    model.refresh()
    assert model.score(GREY).reason is None and model.current.release == 1
    assert not updater.probation.is_active() and device.require_working(1)
    assert [failure.release for failure in updater.home.state.failures.values()] == [2]


def test_frames_of_a_release_do_not_count_for_the_next_one(updated):
    """It is switched to between reading the link and the last good frame."""
    updater = updated.updater()
    updater.check()
    model = AgentModel(updated.home, "a7", 1, updater.probation, time.monotonic)
    model.refresh()
    for _ in range(FRAMES_OF_PROBATION - 1):
        model.score(GREY)
    updated.release(3)
    updater.check()
    model.score(GREY)
    assert model.current.release == 2 and updater.probation.is_active()


class Killed(BaseException):
    """The process ends."""


def test_only_starts_with_a_frame_count_against_a_release(updated, tmp_path, monkeypatch):
    assert updated.updater().check().release == 2

    def start(fault: str | None):
        agent = agent_of(
            tmp_path,
            model=ModelSettings(NOBODY, MODEL),
            store=StoreSettings(tmp_path, free_megabytes=0),
        )
        agent.parts.camera.fault = fault
        try:
            agent.parts.watcher.take_frame()
        finally:
            agent.parts.store.close()
        return agent

    for _ in range(MAX_STARTS + 2):
        assert start("gone").parts.updater.probation.is_active()

    class Crashes(CurrentModel):
        def _load(self, folder, threads):
            if folder.name == "release-2":
                raise Killed
            super()._load(folder, threads)

    monkeypatch.setattr("edge.agent.model.CurrentModel", Crashes)
    for _ in range(MAX_STARTS - 1):
        with pytest.raises(Killed):
            start(None)
    agent = start(None)
    assert agent.parts.watcher.state.result.version == "1" and updated.require_working(1)


@pytest.mark.parametrize(("seconds", "is_kept"), [(FORGIVEN_SECONDS, True), (600, False)])
def test_crashes_of_a_committed_release_count_until_it_scored_for_a_day(
    updated, seconds, is_kept, monkeypatch
):
    """A model that hangs on some frames has good ones between them, and is rolled back."""
    updater = updated.updater()
    updater.check()
    now = 1000.0

    def process() -> AgentModel:
        model = AgentModel(updated.home, "a7", 1, updated.updater().probation, lambda: now)
        model.refresh()
        return model

    def crash(model: AgentModel, number: int) -> None:
        other = np.full((64, 48, 3), number, np.uint8)  # a frame that ended a process is avoided

        def end(pixels: np.ndarray) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(model.current.scorer, "score_prepared", end)
            patch.setattr(FrameMarker, "scoring", marked)
            with pytest.raises(Killed):
                model.score(Shot.of(Frame(other, NOON)))

    for number in range(MAX_STARTS + 1):
        model = process()
        for _ in range(FRAMES_OF_PROBATION + 1):
            model.score(GREY)
        now += seconds
        model.score(GREY)
        if model.current.release == 1:
            break
        crash(model, number)
    assert (model.current.release == 2) == is_kept


@contextmanager
def marked(marker: FrameMarker, folder: str, frame: str):
    """Mark a frame as the process does that is killed there, which unmarks nothing."""
    marker._write(folder, frame)
    yield

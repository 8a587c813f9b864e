"""The self-test selects a release's network by its reference scores and its speed."""

import contextlib
import io
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hostile_models import add_harm
from onnx import helper, numpy_helper
from PIL import Image
from tiny_model import write_model, write_reference_images

from edge.inference.record import INT8_FILE, MODEL_FILE, ModelRecord
from edge.inference.reference_images import ReferenceImage, ReferenceImages
from edge.inference.region import Region
from edge.inference.scoring import Scorer
from edge.update.self_test import SELF_TEST_FILE, SelfTestResult, run_self_test

GOOD = {
    MODEL_FILE: {"accuracy": 0.95},
    INT8_FILE: {"accuracy": 0.945, "agreement": 0.99},
}


def make_slow(path) -> None:
    """The same answers, after two products of large matrices that come to nothing."""

    model = onnx.load(path)
    nodes = model.graph.node
    softmax = next(node for node in nodes if node.op_type == "Softmax")
    large = np.full((300, 300), 1e-9, np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(large, "large"), numpy_helper.from_array(np.float32([0]), "no")]
    )
    extra = [
        helper.make_node("ReduceMax", ["logits"], ["most"], keepdims=0),
        helper.make_node("Mul", ["large", "most"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "large"], ["once"]),
        helper.make_node("MatMul", ["once", "large"], ["twice"]),
        helper.make_node("ReduceMax", ["twice"], ["all"], keepdims=0),
        helper.make_node("Mul", ["all", "no"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["slow"]),
    ]
    softmax.input[0] = "slow"
    place = list(nodes).index(softmax)
    ordered = [*nodes[:place], *extra, *nodes[place:]]
    del nodes[:]
    nodes.extend(ordered)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@pytest.fixture
def release(tmp_path):
    """Two networks with the same scores; returns the folder's maker."""

    def make(slow: str | None, metrics=GOOD, off: float = 0.0):
        folder = write_reference_images(write_model(tmp_path / "release", file_metrics=metrics))
        (folder / INT8_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
        if slow:
            make_slow(folder / slow)
        reference = ReferenceImages.read(folder)
        for image in reference.images:
            image.scores[INT8_FILE] = [score + off for score in image.scores[MODEL_FILE]]
        reference.write(folder)
        return folder

    return make


WORSE = {"accuracy": 0.93, "agreement": 0.99}
DISAGREES = {"accuracy": 0.95, "agreement": 0.9}


@pytest.mark.parametrize(
    ("options", "file", "why"),
    [
        ({"slow": MODEL_FILE}, INT8_FILE, "times as fast here"),
        ({"slow": INT8_FILE}, MODEL_FILE, "int8 is 0.* times as fast here"),
        ({"slow": MODEL_FILE, "off": 0.05}, INT8_FILE, "times as fast here"),
        ({"slow": MODEL_FILE, "off": 0.2}, MODEL_FILE, "a reference image's score is 0.2 off"),
        (
            {"slow": MODEL_FILE, "metrics": GOOD | {INT8_FILE: WORSE}},
            *(MODEL_FILE, "its accuracy is 2.0% lower"),
        ),
        (
            {"slow": MODEL_FILE, "metrics": GOOD | {INT8_FILE: DISAGREES}},
            *(MODEL_FILE, "agrees with Keras on only 90.0% of"),
        ),
        ({"slow": MODEL_FILE, "metrics": {}}, MODEL_FILE, "agrees with Keras on only 0.0% of"),
    ],
)
def test_int8_is_used_if_it_is_good_and_faster_here(release, options, file, why):
    result = run_self_test(release(**options), threads=1)
    assert result.file == file
    assert re.search(why, result.why)
    assert all(ms > 0 for ms in result.ms.values())


def test_reference_images_are_prepared_already_and_have_no_region(tmp_path):
    folder = write_model(tmp_path / "release")
    encoded = io.BytesIO()
    Image.linear_gradient("L").resize((48, 64)).convert("RGB").save(encoded, "JPEG")
    (expected,) = Scorer(folder).predict([encoded.getvalue()])
    scores = {MODEL_FILE: list(expected.probabilities.values())}
    ReferenceImages((ReferenceImage(encoded.getvalue(), scores),)).write(folder)
    record = replace(ModelRecord.read(folder), regions={"": Region(0, 0, 1, 0.25)})
    record.write(folder)
    assert Scorer(folder).predict([encoded.getvalue()])[0].score != expected.score
    assert run_self_test(folder).file == MODEL_FILE


def test_a_release_without_reference_images_is_used_in_float(tmp_path):
    folder = write_model(tmp_path)
    (folder / INT8_FILE).write_bytes((folder / MODEL_FILE).read_bytes())
    result = run_self_test(folder)
    assert result.file == MODEL_FILE and "no reference images" in result.why


@pytest.mark.parametrize("text", ["", "{", "[]", '{"file": "model.onnx"}', '{"file": "../up"}'])
def test_a_damaged_result_selects_the_float_network(tmp_path, text):
    assert SelfTestResult.read(tmp_path).file == MODEL_FILE
    (tmp_path / SELF_TEST_FILE).write_text(text)
    assert SelfTestResult.read(tmp_path).file == MODEL_FILE


def test_a_result_is_read_as_it_was_written(tmp_path):
    result = SelfTestResult(
        INT8_FILE, {MODEL_FILE: 9.5, INT8_FILE: 3.25}, "int8 is 2.92 times as fast"
    )
    (tmp_path / SELF_TEST_FILE).write_text(result.text())
    assert SelfTestResult.read(tmp_path) == result
    (tmp_path / SELF_TEST_FILE).write_text(replace(result, file="another.onnx").text())
    assert SelfTestResult.read(tmp_path).file == MODEL_FILE


def test_a_record_of_more_labels_than_reference_scores_is_refused(tmp_path):
    folder = write_reference_images(write_model(tmp_path))
    ModelRecord(["a", "b", "c"], (64, 48), "1").write(folder)
    with pytest.raises(Exception, match="are not probabilities of 3 classes"):
        run_self_test(folder)


APART = """
import resource, sys
from pathlib import Path
from edge.update.self_test_process import self_test_apart

resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))  # less than the self-test may take
print(self_test_apart(Path(sys.argv[1]), 1).file)
"""


def test_a_self_test_has_no_more_memory_than_the_agent_may_give(release):
    done = subprocess.run([sys.executable, "-c", APART, str(release(None))], capture_output=True)
    assert done.stdout.strip().decode() in (MODEL_FILE, INT8_FILE), done.stderr


def test_a_self_test_ends_with_the_agent(tmp_path):
    folder = write_reference_images(write_model(tmp_path / "harmful"))
    add_harm(folder / MODEL_FILE, "a loop without end")
    with subprocess.Popen([sys.executable, "-c", APART, str(folder)]) as agent:
        assert wait_for(lambda: running_on(folder) == 2)  # the agent and the self-test
        time.sleep(1)  # it has set its limits
        agent.kill()
    assert wait_for(lambda: running_on(folder) == 0)


def running_on(folder) -> int:
    """How many processes have a folder as an argument."""
    count = 0
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            count += str(folder).encode() in place.read_bytes().split(b"\0")
    return count


def wait_for(condition) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()

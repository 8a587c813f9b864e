"""The agent's driver over the real picamera2 and libcamera, whose virtual camera shows images."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from images import write_network
from PIL import Image
from systems import CAMERA, PROJECT, camera_system, lacks
from tiny_model import statement

from edge.inference.scoring import Scorer

HERE = Path(__file__).parent
PROGRAMS = [HERE / f"{name}.py" for name in ("virtual_picamera2", "look_and_score", "run_agent")]
PROGRAMS += [HERE / "compare_stand_in.py", HERE.parent / "cameras" / "picamera2_stand_in.py"]
REAL = PROJECT.parent / "shared" / "data" / "package-images" / "images"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(lacks(CAMERA) is not None, reason=lacks(CAMERA) or ""),
    pytest.mark.skipif(not REAL.is_dir(), reason=f"there are no images in {REAL}"),
]


@pytest.fixture(scope="module")
def images() -> list[Path]:
    return sorted(REAL.glob("*.jpg"))[::150]


@pytest.fixture(scope="module")
def system(images):
    with camera_system((HERE / "virtual_camera.yaml").read_text(), images) as system:
        for program in PROGRAMS:
            shutil.copy(program, system.work)
        write_network(system.work / "model")
        yield system


def difference(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).mean())


def test_what_the_driver_sees_is_what_is_before_the_camera_and_its_score_too(system, images):
    done = system.run("look_and_score.py", seconds=120)
    assert done.returncode == 0, done.stderr
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(looks) == 6
    before = [Image.open(path).resize((640, 480)) for path in images]
    scorer, shown = Scorer(system.work / "model"), set()
    for number, look in enumerate(looks):
        assert look["model"] == "Virtual camera" and look["captured_at"].endswith("+00:00")
        kept = Image.open(system.work / f"kept-{number}.png")
        scored = Image.open(system.work / f"scored-{number}.png")
        assert (kept.size, scored.size) == ((640, 480), (320, 240))
        far = [difference(kept, image) for image in before]
        nearest = int(np.argmin(far))
        print(far)
        shown.add(nearest)
        # the same image in the same colours, in both streams, and from the same moment
        assert far[nearest] < 4 < sorted(far)[1]
        assert difference(scored, before[nearest].resize((320, 240))) < 4
        expected = list(scorer.predict([np.asarray(scored)])[0].probabilities.values())
        np.testing.assert_allclose(look["scores"], expected, atol=1e-5)
    assert len(shown) > 1


AGENT = """
device = "7"
trust_clock = true
[landing]
url = "landing"
[camera]
kind = "picamera2"
stalled_seconds = 10
[capture]
period_seconds = 0.001
[store]
folder = "store"
free_megabytes = 0
[model]
server = "http://127.0.0.1:9"
name = "network"
"""


def test_the_agent_takes_a_frame_from_the_camera_through_the_queue_to_the_landing_zone(system):
    home = system.work / "store" / "models" / "network"
    folder = write_network(home / "release-1")
    (folder / "release.json").write_text(json.dumps(statement(folder, "network", "4")))
    (home / "current").symlink_to("release-1")
    landing = system.work / "landing"
    landing.mkdir()
    (system.work / "agent.toml").write_text(AGENT)
    done = system.run("run_agent.py", "4", seconds=120)
    assert done.returncode == 0, done.stderr
    rows = [
        json.loads(line)
        for path in (landing / "results").rglob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(rows) == 4 and {row["model_version"] for row in rows} == {"4"}
    sent = {path.name: path for path in landing.glob("*_rpi_sensor_7_porch.jpg")}
    assert sent and {row["file_name"] for row in rows if row["file_name"]} == set(sent)
    scorer = Scorer(folder)
    for row in rows:
        if row["file_name"] is None:
            continue
        path = sent[row["file_name"]]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        with Image.open(path) as image:
            assert image.size == (640, 480)
            assert image.getexif()[0x0110] == "Virtual camera"
        # what was scored is the small stream, what was sent the large one, as JPEG
        score = scorer.predict([path])[0].probabilities[row["label"]]
        assert abs(score - row["score"]) < 0.02


def test_the_stand_in_of_other_tests_has_and_refuses_what_picamera2_does(system):
    done = system.run("compare_stand_in.py", seconds=120)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert len(answers) > 20 and answers["an unknown control"] == ["RuntimeError"] * 2
    assert {question: two for question, two in answers.items() if two[0] != two[1]} == {}

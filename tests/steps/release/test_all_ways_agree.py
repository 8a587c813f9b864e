"""The same real images by Keras, ONNX, Spark, REST and the device's agent; and a server that
receives what it cannot score."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import numpy as np
import pytest
import requests
from bad_bodies import bad_bodies, base64_of, damaged_bodies, odd_requests
from drawing import jpeg
from hypothesis import given, settings
from small_network import network
from small_registry import SELECTION, copied_store, run_step, trained, write_profile

from edge.cli.main import main as edge_main
from edge.inference.prepare import prepare
from edge.inference.record import ModelRecord
from edge.inference.region import Region
from edge.inference.scoring import Scorer
from edge.update.self_test import SELF_TEST_FILE
from steps import export, promote, register
from steps.evaluation.predictions import keras_predict
from steps.registry.aliases import require_version
from steps.registry.local_server import tracking_server
from steps.registry.versions import load_keras, source_of
from steps.scoring.table import Scoring, ScoringModel
from steps.settings.profile import PROJECT

IMAGES = PROJECT.parent / "shared" / "data" / "package-images" / "images"
EDGE_PYTHON = PROJECT / ".venv-edge" / "bin" / "python"
COUNT = 50
REGION = Region(0.25, 0.3, 0.5, 0.6)
BAD_BODIES = int(os.environ.get("BAD_BODIES", "200"))
"""Number of damaged requests besides the table's seventy."""

CASES = int(os.environ.get("CASES", "300"))
"""Number of requests made up by hypothesis."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def released(empty_store, tmp_path_factory):
    """The home of a store that is in use, with a network of random weights as released champion."""
    home = tmp_path_factory.mktemp("released")
    with copied_store(empty_store, home):
        profile = write_profile(home, min_accuracy=0.0)
        selection = SELECTION.model_copy(update={"regions": {"": REGION}})
        # by probability alone, most images would be dark
        decision = {"threshold": 0.52, "threshold_label": "dark"}
        decision |= {"temperature": 0.5, "abstention": 0.5, "offsets": [0.05, -0.05]}
        trained(profile, network(seed=5), selection, **decision)
        for step in (register, promote, export):
            run_step(step, profile)
        yield home


@pytest.fixture(scope="module")
def served(released):
    """The address of ``mlflow models serve`` with the champion."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "models", "serve"),
            *("-m", "models:/package-onnx@champion", "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        cwd=released,
        env=os.environ | {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(400):
            assert server.poll() is None
            try:
                if requests.get(f"{address}/health", timeout=2).ok:
                    break
            except requests.RequestException:
                time.sleep(0.3)
        yield address
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)  # it stops on SIGTERM
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    if not IMAGES.is_dir():
        pytest.skip(f"NOT PROVEN HERE: the real images are not at {IMAGES}")
    folder = tmp_path_factory.mktemp("images")
    every = sorted(IMAGES.glob("*.jpg"))
    for image in every[:: len(every) // COUNT][:COUNT]:
        shutil.copy(image, folder)
    return folder


def test_all_ways_agree(released, served, images, lake, tmp_path, capsys):
    files = sorted(images.iterdir())
    version = require_version("package-onnx", "champion", made_by="export")
    folder = mlflow.artifacts.download_artifacts(
        artifact_uri="models:/package-onnx@champion/artifacts", dst_path=tmp_path / "model"
    )
    record = ModelRecord.read(folder)
    assert record.regions == {"": REGION}
    pixels = np.stack([prepare(file, record.input_size, region=REGION) for file in files])
    given = Scorer(folder).score_prepared(pixels)
    predictions = record.decode(given)
    labels = [prediction.label for prediction in predictions]
    expected = np.array([list(one.probabilities.values()) for one in predictions])
    assert given[:, 0].std() > 1e-3 and len(files) == COUNT
    assert np.abs(given - expected).max() > 1e-3  # by the temperature
    assert labels.count("dark") in range(10, COUNT - 10) and 0 < labels.count("unsure") < COUNT

    keras = load_keras(require_version("package", "champion", made_by="promote"))
    by_keras = keras_predict(keras)(pixels)
    np.testing.assert_allclose(by_keras, given, rtol=0, atol=1e-4)
    assert [one.label for one in record.decode(by_keras)] == labels

    profile = lake.fresh(tmp_path)
    scoring = Scoring(
        *(lake.spark, profile, "package-onnx@champion"),
        *(lambda: ScoringModel(*source_of(version), folder), "run"),
    )
    scoring.score_files(str(images))
    rows = lake.spark.read.format("delta").load(f"{profile.lake}/scores").collect()
    by_spark = {Path(row["path"]).name: row for row in rows}
    assert len(rows) == COUNT
    _equal(by_spark.get, files, labels, expected, record)
    assert {(row["model"], row["model_version"]) for row in rows} == {("package", "1")}

    assert edge_main(["predict", "--server", served, *map(str, files)]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == labels
    body = {"dataframe_records": [{"image": base64_of(file.read_bytes())} for file in files]}
    answer = requests.post(f"{served}/invocations", json=body, timeout=60).json()["predictions"]
    by_rest = {
        file.name: row | {"probabilities": {n: row[f"probability_{n}"] for n in record.labels}}
        for file, row in zip(files, answer, strict=True)
    }
    _equal(by_rest.get, files, labels, expected, record)

    with tracking_server() as server:
        agent = [str(EDGE_PYTHON), "-m", "edge"]
        pull = ["pull", "--server", server, "--model", "package-onnx", "--into", tmp_path / "edge"]
        score = ["score", "--models", tmp_path / "edge" / "package-onnx", "--count", str(COUNT)]
        score += ["--camera", f"folder:{images}", "--json", tmp_path / "rows.json"]
        subprocess.run([*agent, *map(str, pull)], cwd=PROJECT, check=True)
    # use the float network, whether or not int8 was faster just now
    (tmp_path / "edge" / "package-onnx" / "current" / SELF_TEST_FILE).unlink()
    subprocess.run([*agent, *map(str, score)], cwd=PROJECT, check=True)
    by_agent = json.loads((tmp_path / "rows.json").read_text())
    assert [row["file"] for row in by_agent] == [file.name for file in files]
    assert [row["label"] for row in by_agent] == labels
    scores = [prediction.score for prediction in predictions]
    np.testing.assert_allclose([row["score"] for row in by_agent], scores, rtol=0, atol=1e-5)


def _equal(found, files, labels, expected, record) -> None:
    rows = [found(file.name) for file in files]
    assert [row["label"] for row in rows] == labels
    np.testing.assert_allclose(
        [[row["probabilities"][label] for label in record.labels] for row in rows],
        expected,
        rtol=0,
        atol=1e-5,
    )


def test_every_bad_body_is_refused_and_the_server_still_answers(served):
    good = jpeg(0)
    bodies = [*bad_bodies(good), *damaged_bodies(good, BAD_BODIES)]

    def post(body):
        _, content, headers = body
        return requests.post(f"{served}/invocations", data=content, headers=headers, timeout=120)

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(post, bodies))
    wrong = {
        name: answer.status_code
        for (name, *_), answer in zip(bodies, answers, strict=True)
        if answer.status_code != 400 or not answer.json()["message"]
    }
    assert wrong == {}
    assert max(len(answer.text) for answer in answers) < 500
    reasons = {
        name: answer.json()["message"] for (name, *_), answer in zip(bodies, answers, strict=True)
    }
    for name, reason in {
        "not base64": "image 0 is refused: not base64",
        "not an image": "image 0 is refused: not an image",
        "truncated": "image 0 is refused: truncated",
        "a bomb": "image 0 is refused: decompression bomb",
        "33 MB": "image 0 is refused: not an image",
        "null": "image 0 is refused",
    }.items():
        assert reason in reasons[f"{name} (dataframe_split)"]
    row = {"columns": ["image"], "data": [[base64_of(good)]]}
    answer = requests.post(f"{served}/invocations", json={"dataframe_split": row}, timeout=60)
    assert answer.status_code == 200 and answer.json()["predictions"][0]["label"]


@pytest.mark.parametrize(
    ("images", "status"),
    [
        ([], 200),
        (1000 * [base64_of(jpeg(0))], 200),
        (["A" * 200_000_000], 400),
        (["A" * 400_000_000], 413),
    ],
    ids=["none", "a thousand", "200 MB that are no image", "400 MB"],
)
def test_a_request_is_as_long_as_its_images(served, images, status):
    body = {"instances": [{"image": image} for image in images]}
    answer = requests.post(f"{served}/invocations", json=body, timeout=120)
    assert answer.status_code == status
    if status == 200:
        assert len(answer.json()["predictions"]) == len(images)
    else:
        assert 0 < len(answer.json()["message"]) < 300


@pytest.mark.proof
@settings(max_examples=CASES, deadline=None, derandomize=True, database=None)
@given(odd_requests(jpeg(0)))
def test_any_request_is_scored_or_refused_with_a_short_reason(served, request_):
    body, headers = request_
    answer = requests.post(f"{served}/invocations", data=body, headers=headers, timeout=60)
    if answer.status_code == 200:
        assert all(row["label"] for row in answer.json()["predictions"])
    else:
        assert answer.status_code in (400, 415)
        assert 0 < len(answer.json()["message"]) < 300
        assert base64_of(jpeg(0))[200:240] not in answer.text

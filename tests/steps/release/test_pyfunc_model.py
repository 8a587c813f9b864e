"""The released model as MLflow keeps it, loads it, and serves it over REST."""

import ast
import base64
import contextlib
import io
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import fastapi.applications
import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import uvicorn
from drawing import jpeg
from mlflow.pyfunc import scoring_server
from starlette.middleware.base import BaseHTTPMiddleware
from tiny_model import probabilities

from edge.inference.record import ModelRecord
from edge.inference.region import OTHER_DEVICES, Region
from edge.inference.scoring import Scorer
from steps.pipeline.source_code import sources
from steps.release.pyfunc import pyfunc_arguments
from steps.settings.profile import PROJECT

# advice to authors
pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

IMAGES = [jpeg(seed) for seed in range(6)]
TEXTS = [base64.b64encode(image).decode() for image in IMAGES]


@pytest.fixture(scope="module")
def saved(exported, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    with pyfunc_arguments(exported) as arguments:
        mlflow.pyfunc.save_model(folder, **arguments)
    return folder


@pytest.fixture(scope="module")
def loaded(saved):
    return mlflow.pyfunc.load_model(str(saved))


@pytest.fixture(scope="module")
def scored(exported) -> np.ndarray:
    """What the device finds in the same images."""
    return probabilities(Scorer(exported), IMAGES)


def test_an_answer_has_the_name_that_people_gave_the_label(exported, scored, tmp_path):
    shutil.copytree(exported, tmp_path / "named")
    replace(ModelRecord.read(exported), names={"dark": "night"}).write(tmp_path / "named")
    with pyfunc_arguments(tmp_path / "named") as arguments:
        mlflow.pyfunc.save_model(tmp_path / "model", **arguments)
    found = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(
        pd.DataFrame({"image": IMAGES})
    )
    names = ["bright" if dark < bright else "night" for dark, bright in scored]
    assert found["name"].tolist() == names
    assert found.drop(columns="name").columns.tolist() == [*_expected(scored).columns]


def _expected(scored: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": ["bright" if dark < bright else "dark" for dark, bright in scored],
            "score": scored.max(axis=1),
            "probability_dark": scored[:, 0],
            "probability_bright": scored[:, 1],
        }
    ).astype({"score": float, "probability_dark": float, "probability_bright": float})


@pytest.mark.parametrize("count", [1, 6])
def test_images_score_as_on_the_device(loaded, scored, count):
    found = loaded.predict(pd.DataFrame({"image": IMAGES[:count]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:count]), rtol=1e-5)
    assert scored[:, 0].std() > 0


def test_a_version_brings_the_scoring_core_and_needs_nothing_else_of_the_project(saved, tmp_path):
    code = saved / "code"
    shipped = {path.relative_to(code).as_posix() for path in code.rglob("*.py")}
    core = {f"edge/inference/{path.name}" for path in (PROJECT / "edge/inference").glob("*.py")}
    assert shipped == {"edge/__init__.py", *core}
    assert {PROJECT / file for file in shipped} <= set(sources("steps.export"))
    (tmp_path / "image.jpg").write_bytes(IMAGES[0])
    program = (
        "import sys, mlflow, pandas\n"
        "content = open('image.jpg', 'rb').read()\n"
        f"model = mlflow.pyfunc.load_model({str(saved)!r})\n"
        "print(model.predict(pandas.DataFrame({'image': [content]}))['label'][0])\n"
        "print({m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in "
        "('edge', 'steps')})"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    label, files = done.stdout.splitlines()[-2:]
    assert label in ("dark", "bright"), done.stderr
    assert all(file.startswith(str(code)) for file in ast.literal_eval(files))


DEVICES = ["7", "8", None, "", "7", "9"]
LEFT, RIGHT = Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)


@pytest.fixture(scope="module")
def regional(exported, tmp_path_factory) -> Path:
    """A model with a region for device 7, and one for all others."""
    folder = tmp_path_factory.mktemp("regional")
    shutil.copytree(exported, folder / "files")
    record = replace(ModelRecord.read(exported), regions={"7": LEFT, OTHER_DEVICES: RIGHT})
    record.write(folder / "files")
    with pyfunc_arguments(folder / "files") as arguments:
        mlflow.pyfunc.save_model(folder / "model", **arguments)
    return folder


@pytest.fixture(scope="module")
def by_region(regional) -> pd.DataFrame:
    """What the devices find in the images."""
    found = Scorer(regional / "files").predict_each(IMAGES, DEVICES)
    rows = np.array([[one.probabilities[label] for label in ("dark", "bright")] for one in found])
    assert len({tuple(row) for row in rows}) == len(IMAGES)
    return _expected(rows)


BY_DEVICE = {
    "split": {
        "dataframe_split": {
            "columns": ["device", "image"],
            "data": [list(row) for row in zip(DEVICES, TEXTS, strict=True)],
        }
    },
    "records": {
        "dataframe_records": [
            {"image": text} | ({"device": device} if device else {})
            for text, device in zip(TEXTS, DEVICES, strict=True)
        ]
    },
    "inputs": {
        "inputs": [
            {"image": text, "device": device} for text, device in zip(TEXTS, DEVICES, strict=True)
        ]
    },
    "columns": {"inputs": {"image": TEXTS, "device": DEVICES}},
}


@pytest.mark.parametrize("layout", BY_DEVICE)
@pytest.mark.parametrize("prepared", [True, False])
def test_a_request_says_which_devices_took_its_images(regional, by_region, serve, layout, prepared):
    address = serve(mlflow.pyfunc.load_model(str(regional / "model")), prepared)
    answer = requests.post(f"{address}/invocations", json=BY_DEVICE[layout])
    assert answer.status_code == 200, answer.text
    found = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(found, by_region, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("write", [pd.DataFrame.to_csv, pd.DataFrame.to_parquet])
def test_a_table_says_which_devices_took_its_images(regional, by_region, serve, write):
    file = io.BytesIO()
    write(pd.DataFrame({"image": TEXTS, "device": DEVICES}), file)
    kind = "text/csv" if write is pd.DataFrame.to_csv else "application/vnd.apache.parquet"
    address = serve(mlflow.pyfunc.load_model(str(regional / "model")))
    answer = requests.post(
        f"{address}/invocations", data=file.getvalue(), headers={"Content-Type": kind}
    )
    found = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(found, by_region, rtol=1e-5, check_dtype=False)


def test_an_image_as_it_is_says_which_device_took_it(regional, by_region, serve):
    address = serve(mlflow.pyfunc.load_model(str(regional / "model")))
    rows = []
    for image, device in zip(IMAGES, DEVICES, strict=True):
        headers = {"Content-Type": "image/jpeg" + (f'; device="{device}"; q=1' if device else "")}
        answer = requests.post(f"{address}/invocations", data=image, headers=headers)
        rows += answer.json()["predictions"]
    pd.testing.assert_frame_equal(pd.DataFrame(rows), by_region, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        (["7", "8"], "a device for each image, or one for all"),
        ([], "a device for each image, or one for all"),
        ([7] * len(TEXTS), 'the device of image 0 is not a text, such as "7"'),
        ([*DEVICES[:-1], True], "the device of image 5 is not a text"),
    ],
)
def test_a_device_that_is_none_is_refused(server, device, reason):
    body = {"inputs": {"image": TEXTS, "device": device}}
    answer = requests.post(f"{server()}/invocations", json=body)
    assert (answer.status_code, reason in answer.json()["message"]) == (400, True)


LAYOUTS = {
    "split": {"dataframe_split": {"columns": ["image"], "data": [[text] for text in TEXTS]}},
    "records": {"dataframe_records": [{"image": text} for text in TEXTS]},
    "inputs": {"inputs": [{"image": text} for text in TEXTS]},
    "columns": {"inputs": {"image": TEXTS}},
    "instances": {"instances": [{"image": text} for text in TEXTS]},
    "indexed": {
        "dataframe_split": {
            "index": list(range(len(TEXTS))),
            "columns": ["image"],
            "data": [[text] for text in TEXTS],
        }
    },
}
OURS = {
    **LAYOUTS,
    "instances by column": {"instances": {"image": TEXTS}},
    "more columns": {"dataframe_records": [{"image": text, "device": "3"} for text in TEXTS]},
    "more columns, split": {
        "dataframe_split": {"columns": ["a", "image"], "data": [[1, text] for text in TEXTS]}
    },
    "with parameters": {"inputs": [{"image": text} for text in TEXTS], "params": {"a": 1}},
}
"""What the server answers besides what MLflow's own does."""


@pytest.fixture
def server(loaded, serve):
    """Serves the model without regions."""
    return partial(serve, loaded)


@pytest.fixture
def serve(monkeypatch):
    """Starts MLflow's server as it is in a process of `mlflow models serve`, in this process."""
    # what the model's code sets there, to be set back
    monkeypatch.setattr(fastapi.applications, "BaseHTTPMiddleware", BaseHTTPMiddleware)
    monkeypatch.setenv("__MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")

    with contextlib.ExitStack() as stack:

        def started(loaded, prepared=True):
            if prepared:
                model = loaded.unwrap_python_model()
                type(model).rows.__globals__["_answer_requests"](model)
            return stack.enter_context(running(scoring_server.init(loaded)))

        yield started


@contextlib.contextmanager
def running(app):
    """The address of a server, in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    ("layout", "prepared"),
    [*((layout, True) for layout in OURS), *((layout, False) for layout in LAYOUTS)],
)
def test_a_rest_request_carries_base64(server, scored, layout, prepared):
    answer = requests.post(f"{server(prepared)}/invocations", json=OURS[layout])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(found, _expected(scored), rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize(
    ("content_type", "write"),
    [
        ("text/csv", lambda table, file: table.to_csv(file, index=False)),
        ("text/csv; charset=UTF-8", lambda table, file: table.to_csv(file)),
        ("application/vnd.apache.parquet", lambda table, file: table.to_parquet(file)),
    ],
    ids=["CSV", "CSV with an index", "Parquet"],
)
def test_a_rest_request_is_a_table_too(server, scored, content_type, write):
    file = io.BytesIO()
    write(pd.DataFrame({"image": TEXTS, "device": "3"}), file)
    headers = {"Content-Type": content_type}
    answer = requests.post(f"{server()}/invocations", data=file.getvalue(), headers=headers)
    found = pd.DataFrame(answer.json()["predictions"])
    pd.testing.assert_frame_equal(found, _expected(scored), rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png; q=1", "IMAGE/WEBP"])
def test_a_rest_request_is_an_image_as_it_is(server, scored, content_type):
    address, headers = f"{server()}/invocations", {"Content-Type": content_type}
    answers = [requests.post(address, data=image, headers=headers).json() for image in IMAGES]
    found = pd.DataFrame([row for answer in answers for row in answer["predictions"]])
    pd.testing.assert_frame_equal(found, _expected(scored), rtol=1e-5, check_dtype=False)
    refused = requests.post(address, data=IMAGES[0][:50], headers=headers)
    assert refused.status_code == 400 and "image 0 is refused" in refused.json()["message"]


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_what_is_no_scoring_is_answered_as_ever(server, path):
    assert requests.get(f"{server()}{path}").status_code == 200


@pytest.mark.parametrize("layout", ["split", "columns"])
def test_mlflows_time_limit_stands_around_each_request(server, loaded, monkeypatch, layout):
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "1")
    answered, address = threading.Event(), server()
    monkeypatch.setattr(
        type(loaded.unwrap_python_model()), "rows", lambda *_: answered.wait(30), raising=True
    )
    status = requests.post(f"{address}/invocations", json=LAYOUTS[layout]).status_code
    answered.set()
    assert status == 504


@pytest.mark.parametrize(
    "written",
    [
        base64.encodebytes(IMAGES[0]).decode(),
        base64.encodebytes(IMAGES[0]).decode().replace("\n", "\r\n"),
        f" {TEXTS[0]} ",
        base64.urlsafe_b64encode(IMAGES[0]).decode(),
        base64.urlsafe_b64encode(IMAGES[0]).decode().rstrip("="),
        f"data:image/jpeg;base64,{TEXTS[0]}",
        f"data:;base64,{base64.encodebytes(IMAGES[0]).decode()}",
    ],
    ids=["lines", "lines of Windows", "spaces", "for URLs", "unpadded", "data", "data in lines"],
)
def test_base64_is_taken_as_others_write_it(loaded, scored, written):
    found = loaded.predict(pd.DataFrame({"image": [written]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:1]), rtol=1e-5)


def test_a_request_without_images_is_refused(loaded):
    with pytest.raises(mlflow.MlflowException, match="image"):
        loaded.predict(pd.DataFrame({"path": ["porch.jpg"]}))

"""The released model as MLflow keeps it, loads it, and serves it over REST."""

import base64
import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from drawing import jpeg
from mlflow.pyfunc import scoring_server

from edge.scoring import Scorer
from steps.serving.pyfunc import pyfunc_arguments

# advice to authors
pytestmark = pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")

PICTURES = [jpeg(seed) for seed in range(6)]


@pytest.fixture(scope="module")
def loaded(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyfunc") / "model"
    mlflow.pyfunc.save_model(folder, **pyfunc_arguments(exported))
    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture(scope="module")
def scored(exported) -> np.ndarray:
    """What the device finds in the same pictures."""
    return Scorer(exported).score(PICTURES)


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
def test_pictures_score_as_on_the_device(loaded, scored, count):
    found = loaded.predict(pd.DataFrame({"image": PICTURES[:count]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:count]), rtol=1e-5)
    assert scored[:, 0].std() > 0


TEXTS = [base64.b64encode(picture).decode() for picture in PICTURES]
LAYOUTS = {
    "split": {"dataframe_split": {"columns": ["image"], "data": [[text] for text in TEXTS]}},
    "records": {"dataframe_records": [{"image": text} for text in TEXTS]},
    "inputs": {"inputs": [{"image": text} for text in TEXTS]},
    "columns": {"inputs": {"image": TEXTS}},
    "indexed": {
        "dataframe_split": {
            "index": list(range(len(TEXTS))),
            "columns": ["image"],
            "data": [[text] for text in TEXTS],
        }
    },
}


def in_the_server(loaded):
    """The handler of requests as it is in a process of `mlflow models serve`."""
    module = type(loaded.unwrap_python_model()).rows.__globals__
    return module["_answering"](scoring_server.invocations)


@pytest.mark.parametrize("served", [True, False], ids=["served", "by mlflow alone"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rest_request_carries_base64(loaded, scored, layout, served):
    invocations = in_the_server(loaded) if served else scoring_server.invocations
    body = json.dumps(LAYOUTS[layout]).encode()
    schema = loaded.metadata.get_input_schema()
    answer = invocations(body, "application/json", loaded, schema)
    assert (answer.status, answer.mimetype) == (200, "application/json")
    found = pd.DataFrame(json.loads(answer.response)["predictions"])
    pd.testing.assert_frame_equal(found, _expected(scored), rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("layout", ["split", "records", "inputs"])
def test_a_plain_request_never_reaches_mlflows_parsing(loaded, layout):
    module = type(loaded.unwrap_python_model()).rows.__globals__

    def invocations(*_):
        raise AssertionError("parsed")

    body = json.dumps(LAYOUTS[layout])
    assert module["_answering"](invocations)(body, "application/json", loaded, None).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["image", "image"], "data": [TEXTS[:2]]}},
        {"dataframe_split": {"columns": ["image"], "data": [TEXTS[:1], TEXTS[:2]]}},
        {"dataframe_records": [{"image": TEXTS[0], "device": "3"}]},
        {"dataframe_records": [TEXTS[:1]]},
        {"dataframe_records": [{"image": TEXTS[0]}], "params": {"a": 1}},
        {"inputs": [{"image": None}]},
        {"inputs": []},
        [TEXTS],
    ],
)
def test_any_other_request_is_mlflows(loaded, body):
    module = type(loaded.unwrap_python_model()).rows.__globals__
    answer = module["_answering"](lambda *_: "by MLflow")
    assert answer(json.dumps(body), "application/json", loaded, None) == "by MLflow"


def test_base64_in_lines_is_taken_too(loaded, scored):
    text = base64.encodebytes(PICTURES[0]).decode()
    assert text.count("\n") > 3
    found = loaded.predict(pd.DataFrame({"image": [text]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:1]), rtol=1e-5)


def test_a_request_without_pictures_is_refused(loaded):
    with pytest.raises(mlflow.MlflowException, match="image"):
        loaded.predict(pd.DataFrame({"path": ["porch.jpg"]}))

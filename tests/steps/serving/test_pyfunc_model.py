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
    )


@pytest.mark.parametrize("count", [1, 6])
def test_pictures_score_as_on_the_device(loaded, scored, count):
    found = loaded.predict(pd.DataFrame({"image": PICTURES[:count]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:count]), rtol=1e-5)
    assert scored[:, 0].std() > 0


@pytest.mark.parametrize("layout", ["dataframe_split", "dataframe_records", "inputs", "columns"])
def test_a_rest_request_carries_base64(loaded, scored, layout):
    texts = [base64.b64encode(picture).decode() for picture in PICTURES]
    body = {
        "dataframe_split": {"columns": ["image"], "data": [[text] for text in texts]},
        "dataframe_records": [{"image": text} for text in texts],
        "inputs": [{"image": text} for text in texts],
        "columns": {"image": texts},
    }[layout]
    key = "inputs" if layout == "columns" else layout
    answer = scoring_server.invocations(
        json.dumps({key: body}),
        "application/json",
        loaded,
        loaded.metadata.get_input_schema(),
    )
    assert answer.status == 200
    found = pd.DataFrame(json.loads(answer.response)["predictions"])
    pd.testing.assert_frame_equal(found, _expected(scored), rtol=1e-5, check_dtype=False)


def test_base64_in_lines_is_taken_too(loaded, scored):
    text = base64.encodebytes(PICTURES[0]).decode()
    assert text.count("\n") > 3
    found = loaded.predict(pd.DataFrame({"image": [text]}))
    pd.testing.assert_frame_equal(found, _expected(scored[:1]), rtol=1e-5)


def test_a_request_without_pictures_is_refused(loaded):
    with pytest.raises(mlflow.MlflowException, match="image"):
        loaded.predict(pd.DataFrame({"path": ["porch.jpg"]}))

"""Metrics of labels and devices that MLflow would not take by their own names."""

import unicodedata

import mlflow
import numpy as np
import pytest
from made_predictions import make_predictions

from steps.evaluation.metric_names import label_metric, metric_as_written, metric_name
from steps.evaluation.slices import slice_metrics

PLAIN = ["shoes", "0", "t-shirt", "rubber boots", "v1.2", "Tür", "靴", "a_b"]
ODD = [
    *("R&D", "R-D", "R_D", "shoes, red", "it's (new)", "x" * 200, "x" * 199 + "y", "👟", "👞"),
    *(
        "a/b",
        "a:b",
        "a=b",
        "a@b",
        "..",
        "a@night",
        "a",
        "a@device=3",
        "100%",
        "$x$",
        "a\nb",
        "a\tb",
    ),
    *(unicodedata.normalize("NFD", "Tür"), metric_name("R&D")),
]
LABELS = [*PLAIN[:-1], *ODD]


@pytest.mark.parametrize("label", PLAIN)
def test_a_plain_label_stands_in_a_name_as_it_is(label):
    assert label_metric("recall", label) == f"recall_{label}"


def test_mlflow_takes_the_metrics_of_every_label_and_no_two_have_one_name(store):
    count = 4 * len(LABELS)
    truth = np.array([LABELS[number % len(LABELS)] for number in range(count)])
    predictions = make_predictions(
        count,
        labels=LABELS,
        truth=truth,
        probabilities=np.full((count, len(LABELS)), 1 / len(LABELS), np.float32),
        devices=np.array([LABELS[::-1][number % len(LABELS)] for number in range(count)], object),
    )
    metrics = predictions.metrics()
    assert len(metrics) == 3 + 3 * len(LABELS)
    sliced = slice_metrics(predictions)
    # each camera took one label, and every image is bright
    assert len(sliced) == len(metrics) + (3 + 3) * len(LABELS)
    logged = {name.replace("@", "/").replace("=", " "): value for name, value in sliced.items()}
    logged |= {f"test_{name}": value for name, value in metrics.items()}
    with mlflow.start_run() as run:
        mlflow.log_metrics(logged)
    assert mlflow.get_run(run.info.run_id).data.metrics == pytest.approx(logged)


@pytest.mark.parametrize("device", [None, "3", "a/b"])
@pytest.mark.parametrize("label", ["R&D", "it's (new)", "a@b", "x" * 200, " Tür", "shoes"])
def test_a_rule_names_the_label_as_it_is(label, device):
    at = f"@device={device}" if device else "@night"
    meant = label_metric("recall", label.strip())
    assert metric_as_written(f"recall_{label}") == meant
    assert metric_as_written(f"recall_{label}{at}") == meant + (
        f"@device={metric_name(device)}" if device else at
    )


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "accuracy@night", "onnx_bytes"])
def test_other_metrics_keep_their_names(name):
    assert metric_as_written(name) == name

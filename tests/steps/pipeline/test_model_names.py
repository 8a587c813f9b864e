"""What a registered model is called, and which one a step follows that is not told."""

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.utils.validation import _validate_model_name

from steps import main
from steps.pipeline.model_names import find_model, name_model
from steps.pipeline.outputs import IngestOutputs, Outputs, RegisterOutputs, Selection, TrainOutputs
from steps.promote import Parameters as Promote
from steps.settings.parameters import StepParameters, parse_parameters

SHOES, BOOTS = "file:/home/me/shoes", "file:/home/me/boots"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("file:/home/me/shoes", "shoes"),
        ("file:/home/me/shoes/", "shoes"),
        ("s3a://bucket/in/shoes", "shoes"),
        ("s3a://bucket", "bucket"),
        ("file:/home/me/My shoes & boots!", "My-shoes-boots"),
        ("file:/home/me/Tu\u0308r", "Tür"),
        ("file:/home/me/v1.2: it's 100%", "v1-2-it-s-100"),
        ("file:/home/me/shoes-onnx", "shoes"),
        ("file:/home/me/shoes-onnx-ONNX", "shoes"),
        ("file:/home/me/" + "x" * 200, "x" * 100),
        ("file:/home/me/data/landing", "package"),
        ("s3a://vision/landing", "package"),
        ("file:/home/me/👟", "package"),
    ],
)
def test_a_model_is_named_after_the_last_folder_of_its_source(source, name):
    assert name_model(source) == name
    _validate_model_name(name)


@pytest.mark.parametrize("name", ["a/b", "shoes-onnx", " shoes", "..", 'a"b', "a:b"])
def test_a_name_that_the_registry_would_refuse_is_refused_at_once(name):
    with pytest.raises(Exception, match="a model's name has none of"):
        parse_parameters(main.Parameters, "main", ["--model", name])


def _run(step: str, outputs: Outputs | None = None, model: str = "", status="FINISHED") -> str:
    client = MlflowClient()
    tags = {"step": step} | ({"model": model} if model else {})
    run_id = client.create_run("0", tags=tags).info.run_id
    if outputs:
        client.log_text(run_id, outputs.model_dump_json(), "outputs.json")
    client.set_terminated(run_id, status)
    return run_id


def _ingested(source: str) -> IngestOutputs:
    counts = {"images": 1, "new_images": 1, "duplicates": 0, "quarantined": 0, "labels": {}}
    return IngestOutputs(table="file:/lake/images", version=1, source=source, **counts)


def _trained(source: str) -> TrainOutputs:
    split = {"input_size": (32, 32), "block_minutes": 60, "guard_minutes": 6, "split_seed": 0}
    return TrainOutputs(
        labels=["a", "b"],
        network="compact",
        launcher="single",
        processes=1,
        epochs=1,
        metrics={},
        selection=Selection(table="file:/lake/images", version=1, source=source, **split),
    )


@pytest.fixture
def two_data_sets(store) -> dict[str, str]:
    """The runs of two data sets in one experiment, that of the boots later."""
    runs = {
        "train": _run("train", _trained(SHOES)),
        "register": _run("register", RegisterOutputs(model="shoes", version="1"), "shoes"),
        "ingest": _run("ingest", _ingested(SHOES)),
        "ingest of boots": _run("ingest", _ingested(BOOTS)),
        "ingest of others": _run("ingest", _ingested("file:/home/me/others")),
    }
    _run("export", model="boots")
    _run("export", model="broken", status="FAILED")
    return runs


@pytest.mark.parametrize(
    ("inputs", "parameters", "model"),
    [
        ({"train": "train"}, StepParameters(), "shoes"),  # register
        ({"register": "register"}, Promote(), "shoes"),
        ({"register": "register"}, Promote(version=1), "boots"),  # by hand: the newest
        ({"ingest": "ingest"}, StepParameters(), "shoes"),  # score
        ({"ingest": "ingest of boots"}, StepParameters(), "boots"),
        ({"ingest": "ingest of others"}, StepParameters(), "boots"),  # of no model: the newest
        ({}, StepParameters(), "boots"),  # export, device
    ],
)
def test_a_step_follows_its_inputs_or_else_the_newest_run(two_data_sets, inputs, parameters, model):
    with mlflow.start_run():
        found = find_model(parameters, {step: two_data_sets[run] for step, run in inputs.items()})
    assert found == model


def test_a_finished_pipeline_is_the_newest_even_if_all_was_reused(two_data_sets):
    _run("main", model="shoes")
    with mlflow.start_run():
        assert find_model(StepParameters(), {}) == "shoes"


def test_without_any_run_a_model_has_the_usual_name(store):
    with mlflow.start_run():
        assert find_model(StepParameters(), {}) == "package"

"""Register: the trained network into the registry, as the challenger."""

import json
import logging
from importlib.metadata import packages_distributions
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray
from pydantic import Field

from edge.inference.prepare import PREPARE_VERSION
from steps.evaluation.predictions import keras_predict
from steps.pipeline.outputs import RegisterOutputs, TrainOutputs
from steps.pipeline.runs import LATEST
from steps.pipeline.step import Step, StepRun
from steps.registry import versions
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import CHALLENGER, CHAMPION, move_alias, version_by_alias
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile
from steps.training.model import load_model
from steps.training.tensorflow_settings import configure_tensorflow

if TYPE_CHECKING:
    import keras

logger = logging.getLogger("steps")

LONGEST_TAG = 5000
"""Characters: registries limit a tag, and thousands of labels may be long."""


class Parameters(StepParameters):
    """Add a version of the registered Keras model and give it the alias `challenger`."""

    train_run_id: str = Field(LATEST, description="run of train whose network is registered")


def register(run: StepRun, parameters: Parameters) -> RegisterOutputs:
    """Log the network with its signature, register it, check it, and set the alias."""
    from steps.reports.register import fill_report

    configure_tensorflow()
    trained = run.read("train", TrainOutputs)
    model = load_model(run.inputs["train"])
    example = _gradient(*trained.selection.input_size)
    logged = _log_model(model, trained, example)
    mlflow.log_metrics(trained.metrics, model_id=logged.model_id)
    name = run.profile.model
    _warn_of_other_source(name, trained.selection.source)
    tags = _lineage_tags(run.inputs["train"], trained, run.id)
    version = mlflow.register_model(logged.model_uri, name, tags=tags)
    _require_intact(version, model, example)
    with lock_aliases(name, run.id):
        move_alias(name, CHALLENGER, str(version.version), run.id, "registered")
    fill_report(run.report, version, trained)
    run.report.next_command = run.commands.next("promote", register_run_id=run.id)
    return RegisterOutputs(model=name, version=str(version.version))


def _warn_of_other_source(name: str, source: str) -> None:
    """Say that the champion was trained on another source, which may be another data set."""
    champion = version_by_alias(name, CHAMPION)
    before = champion.tags.get(versions.SOURCE, source) if champion else source
    if before != source:
        logger.warning(
            f"{name} was trained on {before} until now, and here on {source}; pass "
            "-P model=<another name> to keep two models"
        )


def _log_model(
    model: "keras.Model", trained: TrainOutputs, example: NDArray[np.uint8]
) -> ModelInfo:
    import keras

    # MLflow predicts the example
    keras.config.disable_interactive_logging()
    outputs = TensorSpec(np.dtype("float32"), (-1, len(trained.labels)))
    inputs = TensorSpec(np.dtype("uint8"), (-1, *example.shape[1:]), "pixels")
    # what the network needs besides mlflow, in the versions that trained it
    tensorflow = packages_distributions()["tensorflow"][0].replace("_", "-")  # or -cpu
    return mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=ModelSignature(inputs=Schema([inputs]), outputs=Schema([outputs])),
        input_example=example,
        pip_requirements=[f"{name}=={version_of(name)}" for name in (tensorflow, "keras", "numpy")],
        metadata={
            "prepare_version": PREPARE_VERSION,
            "table": trained.selection.table,
            "table_version": trained.selection.version,
            **trained.model_dump(include={"labels", "metrics", "threshold", "threshold_label"}),
        },
    )


def _gradient(height: int, width: int) -> NDArray[np.uint8]:
    """Return an example of the input without private content: ``uint8 [1, H, W, 3]``."""
    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(row[None, None, :, None], (1, height, width, 3)).copy()


def _require_intact(
    version: ModelVersion, model: "keras.Model", example: NDArray[np.uint8]
) -> None:
    """Load the version back, and compare its weights and what it predicts."""
    kept = versions.load_keras(version)
    same = all(map(np.array_equal, kept.get_weights(), model.get_weights()))
    if not same or not np.allclose(keras_predict(kept)(example), keras_predict(model)(example)):
        raise versions.not_kept_error(version)


def _lineage_tags(train_run_id: str, trained: TrainOutputs, run_id: str) -> dict[str, str]:
    """Return tags that lead from the version to its runs and its images."""
    inputs = MlflowClient().get_run(train_run_id).data.tags
    return {
        "run.register": run_id,
        versions.TRAINED_BY: train_run_id,
        **{k.replace("input.", "run."): v for k, v in inputs.items() if k.startswith("input.")},
        versions.SOURCE: trained.selection.source,
        "delta_table": trained.selection.table,
        versions.DELTA_VERSION: str(trained.selection.version),
        "prepare_version": PREPARE_VERSION,
        "labels": json.dumps(trained.labels, ensure_ascii=False)[:LONGEST_TAG],
    }


def _invalid_reason(outputs: RegisterOutputs, profile: Profile) -> str | None:
    if versions.has_version(outputs.model, outputs.version):
        return None
    return f"version {outputs.version} of {outputs.model} no longer exists"


STEP = Step.of(register, settings=("model",), invalid_reason=_invalid_reason)

if __name__ == "__main__":
    STEP.main()

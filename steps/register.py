"""Register: the trained network into the registry, as the challenger."""

import warnings
from importlib.metadata import packages_distributions
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from edge.inference.scoring import PREPARE_VERSION
from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import RegisterOutputs, TrainOutputs
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import claim, move_alias
from steps.registry.versions import CHALLENGER, has_version, load_keras
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

if TYPE_CHECKING:
    import keras
    import numpy as np


class Parameters(StepParameters):
    """Add a version of the registered Keras model and give it the alias `challenger`."""

    train_run_id: str = Field("latest", description="run of train whose network is registered")


def register(run: StepRun, parameters: Parameters) -> RegisterOutputs:
    """Log the network with its signature, and register what was logged."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from steps.training.networks import load
    from steps.training.tensorflow_settings import configure_tensorflow

    configure_tensorflow(threads=0)
    import keras

    # of the example, which MLflow tries
    keras.config.disable_interactive_logging()
    warnings.filterwarnings("ignore", message="The structure of `inputs` doesn't match")
    trained = run.read("train", TrainOutputs)
    model = load(run.inputs["train"])
    height, width = trained.selection.input_size
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, height, width, 3), "pixels")]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(trained.labels)))]),
    )
    example = _ramp(height, width)
    logged = mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=signature,
        input_example=example,
        pip_requirements=_requirements(),
        metadata={
            "labels": trained.labels,
            "prepare_version": PREPARE_VERSION,
            "table": trained.selection.table,
            "table_version": trained.selection.version,
            "metrics": trained.metrics,
            "threshold": trained.threshold,
        },
    )
    mlflow.log_metrics(trained.metrics, model_id=logged.model_id)
    name = run.profile.model
    version = mlflow.register_model(
        logged.model_uri, name, tags=_lineage_tags(run.inputs["train"], trained, run.id)
    )
    _require_kept(version, model, example)
    with claim(name, run.id):
        move_alias(name, CHALLENGER, str(version.version), run.id, "registered")
    run.report.headline("model", name)
    run.report.headline("version", version.version)
    run.report.table(
        "Held-out metrics",
        ["metric", "value"],
        [[k, round(v, 4)] for k, v in trained.metrics.items()],
    )
    run.report.next_command = run.commands.next("promote", register_run_id=run.id)
    return RegisterOutputs(model=name, version=str(version.version))


def _requirements() -> list[str]:
    """All that the network needs beside mlflow, in the versions that it was trained with."""
    tensorflow = packages_distributions()["tensorflow"][0].replace("_", "-")  # or -cpu
    return [f"{package}=={version_of(package)}" for package in (tensorflow, "keras", "numpy")]


def _ramp(height: int, width: int) -> "np.ndarray":
    """An example of the input that shows nobody: ``uint8 [1, H, W, 3]``, dark to bright."""
    import numpy as np

    row = np.linspace(0, 255, width).astype(np.uint8)
    return np.broadcast_to(row[None, None, :, None], (1, height, width, 3)).copy()


def _require_kept(version: ModelVersion, model: "keras.Model", example: "np.ndarray") -> None:
    """Load the version back: an alias names nothing that the store has not got whole."""
    import numpy as np

    from steps.evaluation.predictions import keras_predict

    kept = load_keras(version)
    same = all(map(np.array_equal, kept.get_weights(), model.get_weights()))
    if not same or not np.allclose(keras_predict(kept)(example), keras_predict(model)(example)):
        raise UserError(
            f"the artifact store did not keep version {version.version} of {version.name} as it "
            "was written; check the store",
            RunAgain(),
        )


def _lineage_tags(train_run_id: str, trained: TrainOutputs, run_id: str) -> dict[str, str]:
    """Tags that lead from the version to its runs and to its images."""
    inputs = MlflowClient().get_run(train_run_id).data.tags
    return {
        "run.register": run_id,
        "run.train": train_run_id,
        **{k.replace("input.", "run."): v for k, v in inputs.items() if k.startswith("input.")},
        "delta_table": trained.selection.table,
        "delta_version": str(trained.selection.version),
        "prepare_version": PREPARE_VERSION,
        "labels": " ".join(trained.labels),
    }


def _invalid_reason(outputs: RegisterOutputs, profile: Profile) -> str | None:
    if has_version(outputs.model, outputs.version):
        return None
    return f"version {outputs.version} of {outputs.model} is gone"


STEP = Step(
    "register",
    Parameters,
    RegisterOutputs,
    register,
    settings=("model",),
    invalid_reason=_invalid_reason,
)

if __name__ == "__main__":
    STEP.main()

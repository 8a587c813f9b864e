"""Register: the trained network into the registry, as the challenger."""

import mlflow
from mlflow import MlflowClient
from pydantic import Field

from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile
from steps.tracking.outputs import RegisterOutputs, TrainOutputs
from steps.tracking.registry import CHALLENGER, has_version
from steps.tracking.step import Step, StepRun


class Parameters(StepParameters):
    """Add a version of the registered Keras model and give it the alias `challenger`."""

    train_run_id: str = Field("latest", description="run of train whose network is registered")


def register(run: StepRun, parameters: Parameters) -> RegisterOutputs:
    """Log the network with its signature, and register what was logged."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from edge.scoring import PREPARE_VERSION
    from steps.training.fit import configure_tensorflow
    from steps.training.networks import load

    configure_tensorflow(threads=0)
    trained = run.read("train", TrainOutputs)
    model = load(run.inputs["train"])
    height, width = trained.selection.input_size
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, height, width, 3), "pixels")]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(trained.labels)))]),
    )
    logged = mlflow.tensorflow.log_model(
        model,
        name="model",
        signature=signature,
        pip_requirements=["tensorflow-cpu", "keras", "numpy"],
        metadata={
            "labels": trained.labels,
            "prepare_version": PREPARE_VERSION,
            "table": trained.selection.table,
            "table_version": trained.selection.version,
            "metrics": trained.metrics,
        },
    )
    name = run.profile.model
    version = mlflow.register_model(
        logged.model_uri, name, tags=_way_back(run.inputs["train"], trained, run.id)
    )
    MlflowClient().set_registered_model_alias(name, CHALLENGER, version.version)
    run.card.headline("model", name)
    run.card.headline("version", version.version)
    run.card.table(
        "Held-out metrics",
        ["metric", "value"],
        [[k, round(v, 4)] for k, v in trained.metrics.items()],
    )
    run.card.next_command = f"mlflow run . -e promote -P register_run_id={run.id}"
    return RegisterOutputs(model=name, version=str(version.version))


def _way_back(train_run_id: str, trained: TrainOutputs, run_id: str) -> dict[str, str]:
    inputs = MlflowClient().get_run(train_run_id).data.tags
    return {
        "run.register": run_id,
        "run.train": train_run_id,
        **{k.replace("input.", "run."): v for k, v in inputs.items() if k.startswith("input.")},
        "delta_table": trained.selection.table,
        "delta_version": str(trained.selection.version),
    }


def _holds(outputs: RegisterOutputs, profile: Profile) -> str | None:
    if has_version(outputs.model, outputs.version):
        return None
    return f"version {outputs.version} of {outputs.model} is gone"


STEP = Step("register", Parameters, RegisterOutputs, register, settings=("model",), holds=_holds)

if __name__ == "__main__":
    STEP.main()

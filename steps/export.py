"""Export: what an alias names becomes an ONNX model, proven equal and released to devices."""

import hashlib
import logging
import tempfile
import warnings
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.settings.parameters import StepParameters
from steps.settings.profile import PROJECT, Profile
from steps.tracking.inputs import read_outputs
from steps.tracking.outputs import ExportOutputs, TrainOutputs
from steps.tracking.registry import (
    CHAMPION,
    alias_state,
    load_keras,
    require_version,
    version_by_alias,
)
from steps.tracking.step import Step, StepRun

EDGE = PROJECT / "edge"
PYFUNC_MODEL = PROJECT / "steps" / "serving" / "pyfunc_model.py"


class Parameters(StepParameters):
    """Convert the Keras version that an alias names, and release it as `<model>-onnx`."""

    alias: str = Field(CHAMPION, description="which version is exported, and released as")


def export(run: StepRun, parameters: Parameters) -> ExportOutputs:
    """Convert, compare on every held-out picture, register, release."""
    from edge.record import MODEL_FILE, RECORD_FILE, ModelRecord, sha256_of
    from edge.scoring import PREPARE_VERSION, Scorer
    from steps.lake.session import spark_session
    from steps.serving.onnx_graph import require_parity, to_onnx
    from steps.serving.release import state_release
    from steps.training.cache import find_or_fill
    from steps.training.fit import configure_tensorflow
    from steps.training.split import TEST

    configure_tensorflow(threads=0)
    source = require_version(run.profile.model, parameters.alias, made_by="promote")
    trained = read_outputs(source.tags["run.train"], TrainOutputs)
    model = load_keras(source)
    cache = find_or_fill(
        trained.selection, run.profile, lambda: spark_session(run.profile, "export")
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / MODEL_FILE).write_bytes(to_onnx(model))
        record = ModelRecord(
            labels=trained.labels,
            input_size=trained.selection.input_size,
            prepare_version=PREPARE_VERSION,
            source={
                "model": source.name,
                "version": str(source.version),
                "train_run_id": source.tags["run.train"],
            },
            metrics=trained.metrics,
            files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
        )
        record.write(folder)
        difference, held_out = require_parity(model, Scorer(folder), cache, TEST)
        files = [folder / MODEL_FILE, folder / RECORD_FILE]
        version = _register(run, source, files)
        release = state_release(version.name, str(version.version), files)
        hashes = {file.name: sha256_of(file) for file in files}
        size = (folder / MODEL_FILE).stat().st_size
    MlflowClient().set_registered_model_alias(version.name, parameters.alias, version.version)
    mlflow.log_metrics({"max_difference": difference, "held_out": held_out, "onnx_bytes": size})
    run.card.headline("released", f"{version.name} version {version.version}")
    run.card.headline("largest difference to Keras", f"{difference:.1e}")
    run.card.headline("size", f"{size / 1024:.0f} KiB")
    run.card.table("Files", ["file", "SHA-256"], [list(item) for item in hashes.items()])
    run.card.next_command = "mlflow run . -e device"
    return ExportOutputs(
        model=version.name,
        version=str(version.version),
        alias=parameters.alias,
        release=release,
        source_version=str(source.version),
        files=hashes,
        max_difference=difference,
        held_out=held_out,
    )


def _register(run: StepRun, source: ModelVersion, files: list[Path]) -> ModelVersion:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    # the note that the class has no type hints speaks to authors, not to those who export
    logging.getLogger("mlflow.pyfunc").setLevel(logging.ERROR)
    # an example would be a picture, and the registry keeps none
    warnings.filterwarnings("ignore", message=".*input example was not provided")
    model_file, record_file = files
    logged = mlflow.pyfunc.log_model(
        name="onnx",
        python_model=str(PYFUNC_MODEL),
        artifacts={"model": str(model_file), "record": str(record_file)},
        code_paths=[str(EDGE)],
        pip_requirements=str(EDGE / "requirements.txt"),
        signature=ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image")])),
    )
    name = f"{source.name}-onnx"
    tags = {
        "keras_model": source.name,
        "keras_version": str(source.version),
        "run.export": run.id,
        **{k: v for k, v in source.tags.items() if k.startswith(("run.", "delta_"))},
    }
    version = mlflow.register_model(logged.model_uri, name, tags=tags)
    MlflowClient().set_model_version_tag(
        source.name, source.version, "onnx_version", str(version.version)
    )
    return version


def _state(parameters: Parameters, profile: Profile) -> str:
    """Where the alias points, and the files that travel with the model without an import."""
    shipped = [PYFUNC_MODEL, *sorted(EDGE.rglob("*.py")), EDGE / "requirements.txt"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in shipped)).hexdigest()
    return f"{alias_state(profile.model, parameters.alias)} {digest}"


def _holds(outputs: ExportOutputs, profile: Profile) -> str | None:
    version = version_by_alias(outputs.model, outputs.alias)
    if version and str(version.version) == outputs.version:
        return None
    return f"{outputs.model}@{outputs.alias} no longer names version {outputs.version}"


STEP = Step(
    "export",
    Parameters,
    ExportOutputs,
    export,
    settings=("model", "cache"),
    state=_state,
    holds=_holds,
)

if __name__ == "__main__":
    STEP.main()

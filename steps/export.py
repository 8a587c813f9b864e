"""Export: convert the version that an alias names to ONNX, and release it to devices."""

import logging
import tempfile
from functools import partial
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from edge.inference.record import INT8_FILE, MODEL_FILE
from edge.protocol.release import sha256_of
from steps.dataset.cache_filling import find_or_fill
from steps.endings import Result
from steps.evaluation.intervals import expected_accuracy
from steps.features.weights import ATTRIBUTION
from steps.ingestion.class_names import class_names
from steps.lake.session import spark_session
from steps.pipeline.model_names import released_name
from steps.pipeline.outputs import ExportOutputs
from steps.pipeline.step import Step, StepRun
from steps.registry import aliases, versions
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import CHAMPION, alias_argument, move_alias, moved_reason
from steps.release.freshness import renew_freshness
from steps.release.keys import public_keys, signing_keys
from steps.release.model_record import make_record
from steps.release.statement import fetch_files, release_version
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile
from steps.training.networks import FROZEN
from steps.training.tensorflow_settings import configure_tensorflow

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Convert the Keras version that an alias names, and release it as `<model>-onnx`."""

    alias: Alias = Field(CHAMPION, description="alias of the exported version, and of its release")


def export(run: StepRun, parameters: Parameters) -> ExportOutputs:
    """Convert to ONNX, compare on every test image, register, release."""
    from steps.release.package import write_package
    from steps.reports.export import fill_report

    keys = signing_keys(run.profile.release.key_file)
    configure_tensorflow()
    alias = parameters.alias
    source = aliases.require_version(run.profile.model, alias, made_by="promote")
    train_run_id, source_number = source.tags[versions.TRAINED_BY], str(source.version)
    trained = versions.read_training(source)
    origin = {"model": source.name, "version": source_number, "train_run_id": train_run_id}
    if trained.network in FROZEN:
        origin["weights"] = ATTRIBUTION
    names = _names(run.profile, trained.labels)
    record = make_record(trained, metrics=trained.metrics, source=origin, names=names)
    spark = partial(spark_session, run.profile, "export")
    cache = find_or_fill(trained.selection, run.profile, spark)
    with tempfile.TemporaryDirectory() as folder:
        package = write_package(versions.load_keras(source), record, cache, Path(folder))
        version = _register_release(run, source, Path(folder))
        number = str(version.version)
        _require_intact(version, package.hashes)
        with lock_aliases(version.name, run.id):
            moved = moved_reason(source.name, source_number, alias)
            if not moved:
                release = release_version(version.name, number, package.files, keys)
                reason = f"export of {source.name} version {source_number}"
                days = run.profile.release.fresh_days
                renew_freshness(version.name, lambda: keys, days, {alias: number})
                move_alias(version.name, alias, number, run.id, reason)
    if moved:
        logger.info("%s, since another run moved it: exporting that one", moved)
        return export(run, parameters)
    MlflowClient().set_model_version_tag(source.name, source_number, versions.ONNX_VERSION, number)
    measured = {"max_difference": package.max_difference, "test_images": package.test_images}
    sizes = {"onnx_bytes": package.sizes[MODEL_FILE], "int8_bytes": package.sizes[INT8_FILE]}
    agreement = package.record.file_metrics[INT8_FILE]["agreement"]
    mlflow.log_metrics(measured | sizes | {"int8_agreement": agreement})
    accuracy = expected_accuracy(trained)
    outputs = ExportOutputs(
        result=Result.RELEASED,
        line=f"{source.name} {source_number}, release {release}; expected accuracy {accuracy}",
        model=version.name,
        version=number,
        alias=alias,
        release=release,
        source_version=source_number,
        files=package.hashes,
        **measured,
    )
    fill_report(run.report, outputs, package, signed=bool(keys))
    run.report.next_command = run.commands.next(
        "device", alias=alias_argument(alias), camera="test-set"
    )
    return outputs


def _register_release(run: StepRun, source: ModelVersion, folder: Path) -> ModelVersion:
    from steps.release.pyfunc import pyfunc_arguments

    with pyfunc_arguments(folder) as arguments:
        logged = mlflow.pyfunc.log_model(name="onnx", **arguments)
    tags = {
        versions.KERAS_MODEL: source.name,
        versions.KERAS_VERSION: str(source.version),
        "run.export": run.id,
        **{k: v for k, v in source.tags.items() if k.startswith(("run.", "delta_"))},
    }
    return mlflow.register_model(logged.model_uri, released_name(source.name), tags=tags)


def _require_intact(version: ModelVersion, hashes: dict[str, str]) -> None:
    """Read the files back, and compare their hashes."""
    with tempfile.TemporaryDirectory() as folder:
        kept = fetch_files(version, Path(folder))
        if {path.name: sha256_of(path) for path in kept.iterdir()} != hashes:
            raise versions.not_kept_error(version)


def _names(profile: Profile, labels: list[str] | None = None) -> dict[str, str]:
    """Return what people call the labels of a network; None: all labels."""
    return {
        label: one.name
        for label, one in class_names(profile).items()
        if labels is None or label in labels
    }


def _state(parameters: Parameters, profile: Profile) -> str:
    """Return where the alias points, which keys sign, and what people call the labels.

    The code that ships with the model is in the cache key already: the pyfunc imports it.
    """
    keys = public_keys(profile.release.key_file)
    return f"{aliases.alias_state(profile.model, parameters.alias)} {keys} {_names(profile) or ''}"


STEP = Step.of(
    export,
    settings=("model",),
    state=_state,
    invalid_reason=lambda outputs, _: moved_reason(outputs.model, outputs.version, outputs.alias),
)

if __name__ == "__main__":
    STEP.main()

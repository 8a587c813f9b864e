"""Export: what an alias names becomes an ONNX model, proven equal and released to devices."""

import hashlib
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import ExportOutputs, TrainOutputs
from steps.pipeline.run_files import read_outputs
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import claim, move_alias
from steps.registry.versions import (
    CHAMPION,
    alias_argument,
    alias_state,
    load_keras,
    number_by_alias,
    released_as,
    require_version,
)
from steps.release.keys import public_keys
from steps.release.pyfunc import EDGE
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile


class Parameters(StepParameters):
    """Convert the Keras version that an alias names, and release it as `<model>-onnx`."""

    alias: Alias = Field(CHAMPION, description="which version is exported, and released as")


def export(run: StepRun, parameters: Parameters) -> ExportOutputs:
    """Convert, compare on every test image, register, release."""
    from steps.dataset.cache_filling import find_or_fill
    from steps.lake.session import spark_session
    from steps.release.keys import signing_keys
    from steps.release.model_record import make_record
    from steps.release.package import write_package
    from steps.training.tensorflow_settings import configure_tensorflow

    keys = signing_keys(run.profile.release.key_file)
    configure_tensorflow(threads=0)
    source = require_version(run.profile.model, parameters.alias, made_by="promote")
    trained = read_outputs(source.tags["run.train"], TrainOutputs)
    record = make_record(
        trained,
        metrics=trained.metrics,
        source={
            "model": source.name,
            "version": str(source.version),
            "train_run_id": source.tags["run.train"],
        },
    )
    cache = find_or_fill(
        trained.selection, run.profile, lambda: spark_session(run.profile, "export")
    )
    with tempfile.TemporaryDirectory() as folder:
        package = write_package(load_keras(source), record, cache, Path(folder))
        version = _register(run, source, Path(folder))
        _require_kept(version, package.hashes)
        release = _release(run, parameters.alias, source, version, package.files, keys)
        hashes = package.hashes
        sizes = {file.name: file.stat().st_size for file in package.files}
    mlflow.log_metrics(
        {
            "max_difference": package.max_difference,
            "test_images": package.test_images,
            "onnx_bytes": sizes["model.onnx"],
            "int8_bytes": sizes["model.int8.onnx"],
            "int8_agreement": package.record.file_metrics["model.int8.onnx"]["agreement"],
        }
    )
    run.report.headline("released", f"{version.name} version {version.version}")
    run.report.headline("release", f"{release}, {'signed' if keys else 'not signed'}")
    run.report.headline("largest difference to Keras", f"{package.max_difference:.1e}")
    run.report.table(
        "Files",
        ["file", "KiB", "accuracy", "agrees with Keras", "SHA-256"],
        [
            [
                name,
                round(sizes[name] / 1024),
                *(
                    package.record.file_metrics.get(name, {}).get(metric, "-")
                    for metric in ("accuracy", "agreement")
                ),
                digest,
            ]
            for name, digest in hashes.items()
        ],
        f"On the {package.test_images} test images.",
    )
    run.report.next_command = run.commands.next("device", alias=alias_argument(parameters.alias))
    return ExportOutputs(
        model=version.name,
        version=str(version.version),
        alias=parameters.alias,
        release=release,
        source_version=str(source.version),
        files=hashes,
        max_difference=package.max_difference,
        test_images=package.test_images,
    )


def _register(run: StepRun, source: ModelVersion, folder: Path) -> ModelVersion:
    from steps.release.pyfunc import pyfunc_arguments

    logged = mlflow.pyfunc.log_model(name="onnx", **pyfunc_arguments(folder))
    tags = {
        "keras_model": source.name,
        "keras_version": str(source.version),
        "run.export": run.id,
        **{k: v for k, v in source.tags.items() if k.startswith(("run.", "delta_"))},
    }
    return mlflow.register_model(logged.model_uri, released_as(source.name), tags=tags)


def _require_kept(version: ModelVersion, hashes: dict[str, str]) -> None:
    """Read the version's files back: an alias names nothing that the store has not got whole."""
    from edge.inference.record import sha256_of
    from steps.release.statement import fetch_files

    with tempfile.TemporaryDirectory() as folder:
        kept = fetch_files(version, Path(folder))
        if {path.name: sha256_of(path) for path in kept.iterdir()} != hashes:
            raise UserError(
                f"the artifact store did not keep version {version.version} of {version.name} "
                "as it was written; check the store",
                RunAgain(),
            )


def _release(
    run: StepRun,
    alias: str,
    source: ModelVersion,
    version: ModelVersion,
    files: list[Path],
    keys: list,
) -> int:
    """State the release and let the alias name it, unless the Keras alias has moved meanwhile."""
    from steps.release.statement import state_release

    number = str(version.version)
    with claim(version.name, run.id):
        if number_by_alias(source.name, alias) != str(source.version):
            raise UserError(
                f"{source.name}@{alias} no longer names version {source.version}", RunAgain()
            )
        release = state_release(version.name, number, files, keys)
        reason = f"export of {source.name} version {source.version}"
        move_alias(version.name, alias, number, run.id, reason)
    MlflowClient().set_model_version_tag(source.name, source.version, "onnx_version", number)
    return release


def _state(parameters: Parameters, profile: Profile) -> str:
    """Where the alias points, which keys sign, and the code that travels with the model without
    an import."""
    keys = public_keys(profile.release.key_file)
    shipped = b"".join(file.read_bytes() for file in sorted(EDGE.rglob("*.py")))
    digest = hashlib.sha256(shipped).hexdigest()
    return f"{alias_state(profile.model, parameters.alias)} {digest} {keys}"


def _invalid_reason(outputs: ExportOutputs, profile: Profile) -> str | None:
    if number_by_alias(outputs.model, outputs.alias) == outputs.version:
        return None
    return f"{outputs.model}@{outputs.alias} no longer names version {outputs.version}"


STEP = Step(
    "export",
    Parameters,
    ExportOutputs,
    export,
    settings=("model",),
    state=_state,
    invalid_reason=_invalid_reason,
)

if __name__ == "__main__":
    STEP.main()

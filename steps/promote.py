"""Promote: make the challenger the champion if it passes the rules, or set an alias by hand."""

import logging

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import PromoteOutputs, RegisterOutputs
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import lock_aliases, move_alias
from steps.registry.versions import (
    CHAMPION,
    alias_argument,
    moved_reason,
    number_by_alias,
    released_as,
    require_version_number,
    version_by_alias,
)
from steps.release.keys import public_keys, signing_keys
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile

WITHDRAWN = "withdrawn"
"""Tag of a version that was rolled back by hand: no comparison promotes it again."""

RESULT = "promotion"
"""Tag of a version: the result of its comparison."""

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Compare challenger and champion on the same test images; move the alias on a pass.

    With `version`, move the alias to that version without a comparison: to roll back or forward."""

    register_run_id: str = Field(
        "latest", description="run of register whose version is the challenger"
    )
    alias: Alias = Field(CHAMPION, description="the alias that moves, such as canary")
    version: int | None = Field(
        None, ge=1, description="version that gets the alias without a comparison; none: compare"
    )
    reason: str = Field("", description="why the alias moves; kept in its history")


def promote(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Promote the challenger if it passes the profile's rules, or the version that was given."""
    if parameters.version is None:
        return _promote_challenger(run, parameters)
    return _promote_version(run, parameters, str(parameters.version))


def _promote_challenger(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    from steps.evaluation.comparison import compare_to_champion, load_candidate
    from steps.release.model_record import make_record
    from steps.release.onnx_metrics import measure_onnx
    from steps.reports.promote import fill_report
    from steps.training.tensorflow_settings import configure_tensorflow

    configure_tensorflow(threads=0)
    challenger = _require_challenger(run.read("register", RegisterOutputs))
    champion = version_by_alias(challenger.name, CHAMPION)
    before = number_by_alias(challenger.name, parameters.alias)
    candidate = load_candidate(challenger)
    is_other = champion is not None and champion.version != challenger.version
    comparison = compare_to_champion(
        candidate,
        load_candidate(champion) if is_other else None,
        measure_onnx(candidate.model, make_record(candidate.trained)),
        run.profile,
    )
    metrics = comparison.metrics.items()  # MLflow allows neither @ nor = in a metric's name
    mlflow.log_metrics({k.replace("@", "/").replace("=", " "): value for k, value in metrics})
    mlflow.log_metrics({f"{who}_accuracy": value for who, value in comparison.accuracies().items()})
    fill_report(run.report, challenger, champion, comparison)
    warning = f" ({comparison.warning})" if comparison.warning else ""
    if not comparison.result.passed:
        _note(challenger, f"refused: {comparison.result}{warning}", run.id)
        more = comparison.result.images_needed
        fix = "ingest more and train on them" if more else "train another"
        raise UserError(
            f"version {challenger.version} of {challenger.name} is not promoted: "
            f"{comparison.result}{warning}; {fix}, or change promotion in the profile"
        )
    if warning:
        logger.warning("%s", comparison.warning)
    with lock_aliases(challenger.name, run.id):
        _require_unmoved(challenger.name, parameters.alias, before)
        _note(challenger, f"passed: {parameters.alias}{warning}", run.id)
        reason = parameters.reason or "passed the profile's promotion rules"
        move_alias(challenger.name, parameters.alias, str(challenger.version), run.id, reason)
    run.report.headline(parameters.alias, f"version {challenger.version}")
    run.report.next_command = run.commands.next("export", alias=alias_argument(parameters.alias))
    return _outputs(challenger, parameters.alias, "promoted", comparison.accuracies())


def _require_challenger(registered: RegisterOutputs) -> ModelVersion:
    challenger = require_version_number(registered.model, registered.version)
    if WITHDRAWN in challenger.tags:
        raise UserError(
            f"version {challenger.version} of {challenger.name} was withdrawn "
            f"({challenger.tags[WITHDRAWN]}); train another, or pass "
            f"-P version={challenger.version} -P reason=…"
        )
    return challenger


def _require_unmoved(model: str, alias: str, before: str | None) -> None:
    now = number_by_alias(model, alias)
    if now != before:
        raise UserError(
            f"{model}@{alias} moved from version {before} to {now} during the comparison",
            RunAgain(),
        )


def _promote_version(run: StepRun, parameters: Parameters, number: str) -> PromoteOutputs:
    """Move the alias without a comparison, and release the version's ONNX model again."""
    from steps.release.statement import release_again
    from steps.reports.promote import fill_manual_report

    keys = signing_keys(run.profile.release.key_file)
    name, alias = run.profile.model, parameters.alias
    version = require_version_number(name, number)
    reason = parameters.reason or f"version {number} was given"
    onnx_number = version.tags.get("onnx_version")
    with lock_aliases(name, run.id):
        before = number_by_alias(name, alias)
        if onnx_number:
            onnx = require_version_number(released_as(name), onnx_number)
            with lock_aliases(onnx.name, run.id):
                release = release_again(onnx, keys)
                move_alias(onnx.name, alias, onnx_number, run.id, reason)
            logger.info("%s version %s is release %d", onnx.name, onnx_number, release)
            run.report.headline("release", release)
        else:
            logger.warning(
                "version %s has no ONNX version yet, so devices do not follow; run: %s",
                number,
                run.commands.next("export", alias=alias_argument(alias)),
            )
        if alias == CHAMPION:  # a rollout group may get a withdrawn version, which stays withdrawn
            _withdraw(version, before, reason)
        move_alias(name, alias, number, run.id, reason)
    fill_manual_report(run.report, alias, before, number, reason)
    run.report.next_command = run.commands.next(
        "device" if onnx_number else "export", alias=alias_argument(alias)
    )
    return _outputs(version, alias, reason, {})


def _withdraw(version: ModelVersion, before: str | None, reason: str) -> None:
    """Mark the champion before as withdrawn, and the new one as not."""
    client = MlflowClient()
    if before and before != str(version.version):
        client.set_model_version_tag(version.name, before, WITHDRAWN, reason)
    if WITHDRAWN in version.tags:
        client.delete_model_version_tag(version.name, version.version, WITHDRAWN)


def _outputs(
    version: ModelVersion, alias: str, reason: str, metrics: dict[str, float]
) -> PromoteOutputs:
    return PromoteOutputs(
        model=version.name,
        version=str(version.version),
        alias=alias,
        reason=reason,
        metrics=metrics,
    )


def _note(version: ModelVersion, result: str, run_id: str) -> None:
    """Write the result on the version, for readers of the registry."""
    client = MlflowClient()
    client.set_model_version_tag(version.name, version.version, RESULT, result)
    client.set_model_version_tag(version.name, version.version, "run.promote", run_id)
    client.update_model_version(version.name, version.version, description=result)


def _state(parameters: Parameters, profile: Profile) -> str:
    """Return the keys that would sign again the release of a given version."""
    return "" if parameters.version is None else str(public_keys(profile.release.key_file))


STEP = Step(
    "promote",
    Parameters,
    PromoteOutputs,
    promote,
    settings=("model", "promotion"),
    state=_state,
    invalid_reason=lambda outputs, _: moved_reason(outputs.model, outputs.version, outputs.alias),
)

if __name__ == "__main__":
    STEP.main()

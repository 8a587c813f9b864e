"""Promote: the challenger becomes champion, or it is said why not; or a version is put back."""

import logging

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from steps.errors import RunAgain, UserError
from steps.pipeline.outputs import PromoteOutputs, RegisterOutputs
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import claim, move_alias
from steps.registry.versions import (
    CHAMPION,
    alias_argument,
    number_by_alias,
    released_as,
    require_version_number,
    version_by_alias,
)
from steps.release.keys import public_keys
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile

WITHDRAWN = "withdrawn"
"""Tag of a version that was put aside by hand: no judgement brings it back."""

RESULT = "promotion"
"""Tag of a version: the result of its comparison."""

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Compare challenger and champion on the same held-out images; move the alias on a pass.

    With `version`, that version gets the alias without a judgement: back, forward, or to a ring."""

    register_run_id: str = Field(
        "latest", description="run of register whose version is the challenger"
    )
    alias: Alias = Field(CHAMPION, description="the alias that moves, such as canary")
    version: int | None = Field(None, ge=1, description="gets the alias as it is; none: judge")
    reason: str = Field("", description="of the move, kept with the alias")


def promote(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Judge the challenger as the profile says, or take the version that was asked for."""
    if parameters.version is None:
        return _judge(run, parameters)
    return _put(run, parameters)


def _judge(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    from steps.evaluation.comparison import compare_to_champion, load_candidate
    from steps.release.model_record import make_record
    from steps.release.onnx_metrics import measure_onnx
    from steps.reports.promote import fill_report
    from steps.training.tensorflow_settings import configure_tensorflow

    configure_tensorflow(threads=0)
    registered = run.read("register", RegisterOutputs)
    challenger = require_version_number(registered.model, registered.version)
    if WITHDRAWN in challenger.tags:
        raise UserError(
            f"version {challenger.version} of {challenger.name} was withdrawn "
            f"({challenger.tags[WITHDRAWN]}); train another, or pass "
            f"-P version={challenger.version} -P reason=…"
        )
    champion = version_by_alias(challenger.name, CHAMPION)
    before = number_by_alias(challenger.name, parameters.alias)
    candidate = load_candidate(challenger)
    other = champion if champion and champion.version != challenger.version else None
    comparison = compare_to_champion(
        candidate,
        load_candidate(other) if other else None,
        measure_onnx(candidate.model, make_record(candidate.trained)),
        run.profile,
    )
    mlflow.log_metrics({_metric_name(name): value for name, value in comparison.metrics.items()})
    mlflow.log_metrics({f"{who}_accuracy": value for who, value in comparison.accuracies().items()})
    fill_report(run.report, challenger, champion, comparison)
    caution = f" ({comparison.warning})" if comparison.warning else ""
    if not comparison.result.passed:
        _note(challenger, f"refused: {comparison.result}{caution}", run.id)
        mend = (
            "ingest more and train on them" if comparison.result.images_needed else "train another"
        )
        raise UserError(
            f"version {challenger.version} of {challenger.name} is not promoted: "
            f"{comparison.result}{caution}; {mend}, or change promotion in the profile"
        )
    if caution:
        logger.warning("%s", comparison.warning)
    with claim(challenger.name, run.id):
        now = number_by_alias(challenger.name, parameters.alias)
        if now != before:
            raise UserError(
                f"{challenger.name}@{parameters.alias} moved from version {before} to {now} "
                "while this run compared them",
                RunAgain(),
            )
        _note(challenger, f"passed: {parameters.alias}{caution}", run.id)
        reason = parameters.reason or "passed the profile's promotion"
        move_alias(challenger.name, parameters.alias, str(challenger.version), run.id, reason)
    run.report.headline(parameters.alias, f"version {challenger.version}")
    run.report.next_command = run.commands.next("export", alias=alias_argument(parameters.alias))
    return _outputs(challenger, parameters.alias, "promoted", comparison.accuracies())


def _put(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Move the alias by hand, and have its ONNX version released anew to the devices."""
    from steps.release.keys import signing_keys
    from steps.release.statement import release_again

    keys = signing_keys(run.profile.release.key_file)
    name, alias = run.profile.model, parameters.alias
    version = require_version_number(name, str(parameters.version))
    reason = parameters.reason or f"version {version.version} was asked for"
    client = MlflowClient()
    with claim(name, run.id):
        before = number_by_alias(name, alias)
        released = version.tags.get("onnx_version")
        if released:
            onnx = require_version_number(released_as(name), released)
            with claim(onnx.name, run.id):
                number = release_again(onnx, keys)
                move_alias(onnx.name, alias, released, run.id, reason)
            run.report.headline("release", number)
            logger.info("%s version %s is release %d", onnx.name, released, number)
        else:
            logger.warning(
                "version %s has no ONNX version yet, so no device follows; run: %s",
                version.version,
                run.commands.next("export", alias=alias_argument(alias)),
            )
        if alias == CHAMPION:  # a ring may try what was withdrawn, which it stays
            if before and before != str(version.version):
                client.set_model_version_tag(name, before, WITHDRAWN, reason)
            if WITHDRAWN in version.tags:
                client.delete_model_version_tag(name, version.version, WITHDRAWN)
        move_alias(name, alias, str(version.version), run.id, reason)
    run.report.headline(alias, f"version {version.version}")
    run.report.table(
        "By hand",
        ["alias", "before", "now", "reason"],
        [[alias, before or "-", str(version.version), reason]],
    )
    run.report.next_command = run.commands.next(
        "device" if released else "export", alias=alias_argument(alias)
    )
    return _outputs(version, alias, reason, {})


def _outputs(version: ModelVersion, alias: str, said: str, metrics) -> PromoteOutputs:
    return PromoteOutputs(
        model=version.name, version=str(version.version), alias=alias, reason=said, metrics=metrics
    )


def _note(version: ModelVersion, said: str, run_id: str) -> None:
    """The verdict on the version, for whoever looks at the registry."""
    client = MlflowClient()
    client.set_model_version_tag(version.name, version.version, RESULT, said)
    client.set_model_version_tag(version.name, version.version, "run.promote", run_id)
    client.update_model_version(version.name, version.version, description=said)


def _metric_name(name: str) -> str:
    """As MLflow allows it: no ``@`` and no ``=``."""
    return name.replace("@", "/").replace("=", " ")


def _state(parameters: Parameters, profile: Profile) -> str:
    """A version that is put back is released anew, by the keys of now."""
    return "" if parameters.version is None else str(public_keys(profile.release.key_file))


def _invalid_reason(outputs: PromoteOutputs, profile: Profile) -> str | None:
    if number_by_alias(outputs.model, outputs.alias) == outputs.version:
        return None
    return f"the alias {outputs.alias} has moved since"


STEP = Step(
    "promote",
    Parameters,
    PromoteOutputs,
    promote,
    settings=("model", "promotion"),
    state=_state,
    invalid_reason=_invalid_reason,
)

if __name__ == "__main__":
    STEP.main()

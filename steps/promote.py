"""Promote: make the challenger the champion if it passes the rules, or set an alias by hand."""

import logging
from contextlib import ExitStack
from functools import cache, partial
from typing import Any, Literal

import mlflow
from mlflow.entities.model_registry import ModelVersion
from pydantic import Field

from edge.inference.region import Region
from edge.protocol.rollout import CANARY
from steps.endings import Result
from steps.errors import UserError
from steps.evaluation.canary import Action
from steps.evaluation.comparison import Comparison, compare_to_champion, load_candidate, past_result
from steps.evaluation.promotion import promote_compared
from steps.evaluation.refusal import (
    FIX_SHORTCUT,
    end_refused,
    what_else_helps,
    what_helps,
    why_refused,
)
from steps.landing.place import display
from steps.pipeline.model_names import released_name
from steps.pipeline.outputs import PromoteOutputs, RegisterOutputs
from steps.pipeline.runs import LATEST
from steps.pipeline.step import Step, StepRun
from steps.registry import aliases, versions
from steps.registry.aliases import CHAMPION, alias_argument, moved_reason
from steps.registry.versions import REFUSED, WITHDRAWN
from steps.release.keys import public_keys, signing_keys
from steps.release.rollback import point_alias
from steps.release.rollout import advance, read_reports
from steps.settings.parameters import Alias, Stages, StepParameters
from steps.settings.profile import Profile
from steps.training.tensorflow_settings import configure_tensorflow

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Compare challenger and champion on the same test images; move the alias on a pass.

    With `version`, move the alias to that version without a comparison: to roll back or forward.
    With `widen`, let the canary's release reach more devices, or take it back."""

    register_run_id: str = Field(LATEST, description="run of register that made the challenger")
    alias: Alias = Field(CHAMPION, description="the alias that moves, such as canary")
    version: int | None = Field(
        None, ge=1, description="version that gets the alias without a comparison; none: compare"
    )
    widen: Stages = Field(
        "",
        description="shares of the devices that get the canary one after the other, such as "
        "0.01,0.05,0.2,1: each run goes to the next one, waits, or takes the canary back",
    )
    reason: str = Field("", description="why the alias moves; kept in its history")
    accept_shortcut: str = Field(
        "",
        description="why a network may be promoted that is seen to follow a shortcut; kept "
        "as a tag of its version",
    )
    on_refusal: Literal["finish", "fail"] = Field(
        "finish", description="how a run ends whose challenger is refused: finish (0) or fail (1)"
    )


def promote(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Promote the challenger if it passes the profile's rules, or the version that was given."""
    if parameters.widen:
        return _widen(run, parameters)
    if parameters.version is None:
        return _promote_challenger(run, parameters)
    return _promote_version(run, parameters, str(parameters.version))


def _promote_challenger(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    from steps.release.onnx_graph import measure_onnx
    from steps.reports.promote import fill_report

    configure_tensorflow()
    registered = run.read("register", RegisterOutputs)
    challenger = versions.require_version_number(registered.model, registered.version)
    champion = aliases.version_by_alias(challenger.name, CHAMPION)
    if WITHDRAWN in challenger.tags:
        why = f"was withdrawn ({challenger.tags[WITHDRAWN]})"
        return _refuse(run, parameters, challenger, champion, why, "train another")
    before = aliases.number_by_alias(challenger.name, parameters.alias)
    candidate = load_candidate(challenger)
    is_champion = champion is not None and champion.version == challenger.version
    comparison = compare_to_champion(
        candidate,
        load_candidate(champion) if champion and not is_champion else None,
        measure_onnx(candidate.model),
        run.profile,
    )
    metrics = comparison.metrics.items()  # MLflow allows neither @ nor = in a metric's name
    mlflow.log_metrics({k.replace("@", "/").replace("=", " "): value for k, value in metrics})
    accuracies = comparison.accuracies()
    mlflow.log_metrics({f"{who}_accuracy": value for who, value in accuracies.items()})
    shortcut = candidate.trained.shortcut
    if shortcut and not parameters.accept_shortcut:
        comparison = comparison.refused(shortcut)
    if not comparison.result.passed and not is_champion:
        if champion is None:
            _say_what_else_helps(run, challenger, comparison, candidate.trained.proposed_region)
        return _refuse_compared(run, parameters, challenger, champion, comparison, shortcut)
    if comparison.warning:
        logger.warning("%s", comparison.warning)
    stood = {parameters.alias: before, CHAMPION: str(champion.version) if champion else None}
    accepted = parameters.accept_shortcut if shortcut else ""
    moving = parameters.alias, parameters.reason, run.id
    if moved := promote_compared(challenger, *moving, stood, comparison, accepted):
        logger.info("%s, since another run moved it: comparing again", moved)
        return _promote_challenger(run, parameters)
    fill_report(run.report, challenger, champion, comparison)
    run.report.headline(parameters.alias, f"version {challenger.version}")
    run.report.next_command = run.commands.next("export", alias=alias_argument(parameters.alias))
    named = f"{parameters.alias}: {challenger.name} {challenger.version}"
    line = f"{named}; accuracy {comparison.accuracy}"
    return _outputs(challenger, parameters.alias, "promoted", line=line, metrics=accuracies)


def _refuse_compared(
    run: StepRun,
    parameters: Parameters,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    comparison: Comparison,
    shortcut: str,
) -> PromoteOutputs:
    """Refuse a challenger that did not pass, and note why at its version."""
    from steps.reports.promote import fill_report

    note = f"{REFUSED}{comparison.result}{comparison.caution}"
    versions.note_comparison(challenger, note, run.id)
    fill_report(run.report, challenger, champion, comparison)
    fix, accuracies = what_helps(comparison, shortcut), comparison.accuracies()
    why = why_refused(comparison, run.profile.promotion) + comparison.caution
    return _refuse(run, parameters, challenger, champion, why, fix, accuracies)


def _say_what_else_helps(
    run: StepRun, challenger: ModelVersion, comparison: Comparison, region: Region | None
) -> None:
    source = display(versions.trained_source(challenger))
    for case, changed in what_else_helps(comparison, region).items():
        logger.info("if %s, run: %s", case, run.commands.next("main", source=source, **changed))


def _refuse(
    run: StepRun,
    parameters: Parameters,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    why: str,
    fix: str,
    metrics: dict[str, float] | None = None,
) -> PromoteOutputs:
    """Leave the alias where it is, and end as the table of endings says."""
    stays, number = str(champion.version) if champion else None, str(challenger.version)
    result, line = end_refused(challenger.name, number, stays, why)
    source = display(versions.trained_source(challenger))
    run.report.next_command = run.commands.next("main", source=source)
    if result is Result.NO_MODEL:
        line += f"; {fix}; run: {run.report.next_command}"
    elif fix == FIX_SHORTCUT:
        line += f"; {fix}"
    if parameters.on_refusal == "fail":
        raise UserError(line, result=result)
    outcome = {"result": result, "line": line, "champion": stays, "metrics": metrics or {}}
    return _outputs(challenger, parameters.alias, why, **outcome)


def _promote_version(run: StepRun, parameters: Parameters, number: str) -> PromoteOutputs:
    """Move the alias without a comparison, and release the version's ONNX model again."""
    from steps.reports.promote import fill_manual_report

    keys = signing_keys(run.profile.release.key_file)
    name, alias = run.profile.model, parameters.alias
    version = versions.require_version_number(name, number)
    reason = parameters.reason or f"version {number} was given"
    days = run.profile.release.fresh_days
    before, release = point_alias(version, alias, run.id, reason, keys, days)
    fill_manual_report(run.report, alias, before, number, reason)
    after, camera = ("device", "test-set") if release else ("export", "")
    run.report.next_command = run.commands.next(after, alias=alias_argument(alias), camera=camera)
    line, result = f"{alias}: {name} {number}; {past_result(version)}", Result.DONE
    if release:
        line, result = f"{line}; release {release}", Result.RELEASED
    else:
        line += f"; not released, so devices do not follow; run: {run.report.next_command}"
    return _outputs(version, alias, reason, result=result, line=line)


def _widen(run: StepRun, parameters: Parameters) -> PromoteOutputs:
    """Let the canary's release reach more devices, or take it back."""
    from steps.lake.session import spark_session

    keys, released = signing_keys(run.profile.release.key_file), released_name(run.profile.model)
    stages = [float(share) for share in parameters.widen.split(",")]
    with ExitStack() as held:
        spark = cache(lambda: held.enter_context(spark_session(run.profile, "promote")))
        reports = partial(read_reports, run.profile, spark)
        ending = advance(released, stages, run.id, keys, reports, run.profile.release.fresh_days)
    run.report.headline("canary", f"version {ending.canary.version}")
    run.report.headline("share of the devices", f"{ending.share:.0%}")
    run.report.next_command = run.commands.next("promote", widen=parameters.widen)
    line, result = ending.line, Result.DONE
    if ending.action is Action.TAKE_BACK:
        result = Result.CHAMPION_STAYS
        if parameters.on_refusal == "fail":
            raise UserError(line, result=result)
    return _outputs(ending.canary, CANARY, line, result=result, line=line)


def _outputs(version: ModelVersion, alias: str, reason: str, **others: Any) -> PromoteOutputs:
    number = str(version.version)
    return PromoteOutputs(model=version.name, version=number, alias=alias, reason=reason, **others)


def _state(parameters: Parameters, profile: Profile) -> str:
    """Return the keys that would sign again the release of a given version."""
    return "" if parameters.version is None else str(public_keys(profile.release.key_file))


def _invalid_reason(outputs: PromoteOutputs, profile: Profile) -> str | None:
    """Return why another comparison is due: what the champion was then, it no longer is."""
    if outputs.result.is_refusal:
        return moved_reason(outputs.model, outputs.champion, CHAMPION)
    return moved_reason(outputs.model, outputs.version, outputs.alias)


STEP = Step.of(
    promote, settings=("model", "promotion"), state=_state, invalid_reason=_invalid_reason
)

if __name__ == "__main__":
    STEP.main()

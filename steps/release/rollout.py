"""A rollout in stages: the canary's release reaches more and more devices, all, or none again."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from edge.protocol.release import RELEASE_TAG
from edge.protocol.rollout import CANARY, ROLLOUT_TAG, Rollout
from steps.errors import RunStep, UserError
from steps.evaluation.canary import HOUR, Action, Decision, DeviceReport, Stage, decide
from steps.ingestion.tables import BY_DEVICE, DEVICES, SCORES, TIME
from steps.lake.newest import GetSpark, Newest
from steps.registry import versions
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import CHAMPION, require_version, version_by_alias
from steps.release.freshness import FRESH_DAYS, renew_freshness
from steps.release.keys import SigningKeys
from steps.release.rollback import point_alias
from steps.release.statement import release_again
from steps.settings.profile import Profile

Reports = Callable[[tuple[str, str], str, str, Stage], list[DeviceReport]]
"""Returns the devices' reports: see :func:`read_reports`."""


class Advance(NamedTuple):
    """What a run did with a rollout.

    Attributes:
        action: that was taken.
        canary: the version of the Keras model that is rolled out.
        share: of the devices that get it now; 1 if it is the champion.
        line: what happened, for the terminal.
    """

    action: Action
    canary: ModelVersion
    share: float
    line: str


def advance(
    released: str,
    stages: list[float],
    run_id: str,
    keys: SigningKeys,
    reports: Reports,
    days: float = FRESH_DAYS,
) -> Advance:
    """Begin a rollout of the alias ``canary``, or decide about its stage and act on it.

    Args:
        released: the name of the released model.
        stages: shares of the devices, growing to 1.
        run_id: the run that does so.
        keys: that sign releases.
        reports: returns the devices' reports.
        days: for which a release counts as the newest.

    Raises:
        UserError: there is no canary, or it was withdrawn.
    """
    champion = require_version(released, CHAMPION, made_by="export")
    canary = version_by_alias(released, CANARY)
    if canary is None:
        raise UserError(
            f"{released}@{CANARY} names no version: name one first",
            RunStep("promote", {"alias": CANARY}),
        )
    keras = versions.require_version_number(*versions.source_of(canary))
    name = f"{keras.name} {keras.version}"
    if canary.version == champion.version:  # as a rollout leaves it
        line = f"{name} is {CANARY} and {CHAMPION}: nothing to roll out"
        return Advance(Action.WAIT, keras, 1.0, line)
    stays = versions.source_of(champion)[1]
    if versions.WITHDRAWN in keras.tags:
        raise UserError(
            f"{name} was withdrawn ({keras.tags[versions.WITHDRAWN]}): name another canary, or "
            "the champion to roll out nothing",
            RunStep("promote", {"version": stays, "alias": CANARY}),
        )
    rollout = Rollout.parse(champion.tags.get(ROLLOUT_TAG))
    if rollout is None or rollout.version != str(canary.version):
        _set_stage(champion, canary, stages[0], run_id, keys, days)
        line = f"{name} goes to {stages[0]:.0%} of the devices"
        return Advance(Action.WIDEN, keras, stages[0], line)
    stage = Stage(released, _release(canary), rollout)
    names = (keras.name, released)
    decision = decide(stage, reports(names, stays, str(keras.version), stage))
    if decision.action is Action.TAKE_BACK:
        return _take_back(champion, keras, decision, run_id, keys, days)
    line = f"{name} at {rollout.share:.0%} of the devices: {decision.reason}"
    if decision.action is Action.WAIT:
        return Advance(Action.WAIT, keras, rollout.share, f"{line}; wait for more reports")
    wider = [share for share in stages if share > rollout.share]
    if wider:
        _set_stage(champion, canary, wider[0], run_id, keys, days)
        return Advance(Action.WIDEN, keras, wider[0], f"{line}; it goes to {wider[0]:.0%} now")
    point_alias(keras, CHAMPION, run_id, f"rolled out: {decision.reason}", keys, days)
    return Advance(Action.WIDEN, keras, 1.0, f"{line}; it is the champion now")


def _release(version: ModelVersion) -> int:
    return int(json.loads(version.tags[RELEASE_TAG])["release"])


def _set_stage(
    champion: ModelVersion,
    canary: ModelVersion,
    share: float,
    run_id: str,
    keys: SigningKeys,
    days: float,
) -> None:
    if _release(canary) < _release(champion):  # devices take no older release
        with lock_aliases(canary.name, run_id):
            release_again(canary, keys)
            renew_freshness(canary.name, lambda: keys, days)
    since = datetime.now(UTC).isoformat(timespec="seconds")
    stage = Rollout(str(canary.version), share, since)
    client = MlflowClient()
    client.set_model_version_tag(champion.name, champion.version, ROLLOUT_TAG, stage.text())


def _take_back(
    champion: ModelVersion,
    keras: ModelVersion,
    decision: Decision,
    run_id: str,
    keys: SigningKeys,
    days: float,
) -> Advance:
    """Release the champion again, for all devices; the canary is withdrawn."""
    client, reason = MlflowClient(), f"taken back: {decision.reason}"
    # first of all, so that no further device gets it
    client.delete_model_version_tag(champion.name, champion.version, ROLLOUT_TAG)
    client.set_model_version_tag(keras.name, keras.version, versions.WITHDRAWN, reason)
    stays = versions.require_version_number(*versions.source_of(champion))
    point_alias(stays, CANARY, run_id, reason, keys, days)
    line = f"{keras.name} {keras.version} is {reason}; {stays.name} {stays.version} stays"
    return Advance(Action.TAKE_BACK, keras, 0.0, line)


def read_reports(
    profile: Profile,
    spark: GetSpark,
    names: tuple[str, str],
    champion: str,
    canary: str,
    stage: Stage,
) -> list[DeviceReport]:
    """Return what the devices of a model report, by the tables ``devices`` and ``scores``.

    Args:
        profile: names the lake.
        spark: returns the session, if a table needs it.
        names: of the model, as devices report it with and without a release in use.
        champion, canary: numbers of the two versions.
        stage: has the hours, of which the last that was complete at the newest report counts.
    """
    devices = Newest(DEVICES, profile, spark)
    if not devices.exists:
        return []
    schema = pa.schema(
        {
            "device_id": pa.string(),
            "release": pa.int32(),
            "on_probation": pa.bool_(),
            "model_failure": pa.string(),
            "reported_at": TIME,
            "model": pa.string(),
        }
    )
    rows = devices.rows(schema, pc.field("model").isin(list(names))).to_pylist()
    reports = {
        row["device_id"]: DeviceReport(
            row["device_id"],
            row["release"],
            bool(row["on_probation"]),
            row["model_failure"],
            row["reported_at"].astimezone(UTC),
        )
        for row in rows
    }
    by_device: dict[str, dict[str, dict[str, int]]] = {}
    hours = max((stage.hours(one.reported_at) for one in reports.values()), default=0)
    if not hours:  # before it began, other devices had the canary
        return list(reports.values())
    scores, until = Newest(SCORES, profile, spark), stage.since + hours * HOUR
    for one in _count_answers(scores, names[0], (champion, canary), until):
        device = str(one["scored_by"]).removeprefix(BY_DEVICE)
        of_version = by_device.setdefault(device, {}).setdefault(one["model_version"], {})
        of_version[one["label"]] = one["label_count"]
    return [
        replace(
            report,
            champion=by_device.get(device, {}).get(champion, {}),
            canary=by_device.get(device, {}).get(canary, {}),
        )
        for device, report in reports.items()
    ]


def _count_answers(
    scores: Newest, model: str, numbers: tuple[str, str], until: datetime
) -> list[dict[str, Any]]:
    """Return how often each device has answered what by which version, in the hour until a time.

    A fleet writes millions of answers a day.
    """
    if not scores.exists:
        return []
    texts = ("model", "model_version", "label", "scored_by")
    schema = pa.schema({name: pa.string() for name in texts} | {"scored_at": TIME})
    where = (pc.field("model") == model) & pc.field("model_version").isin(list(numbers))
    where &= pc.field("label").is_valid() & (pc.field("scored_at") > until - HOUR)
    where &= pc.field("scored_at") <= until
    rows = scores.rows(schema, where & pc.starts_with(pc.field("scored_by"), BY_DEVICE))
    grouped = rows.group_by(["scored_by", "model_version", "label"])
    found: list[dict[str, Any]] = grouped.aggregate([("label", "count")]).to_pylist()
    return found

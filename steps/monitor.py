"""Monitor: compare what came in since a version was trained with what trained it, by device."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pydantic import Field

from steps.landing.place import display
from steps.monitoring.accuracy import Estimate, estimate_accuracy
from steps.monitoring.acting import (
    OnBreach,
    Retraining,
    act,
    count_labelled,
    find_causes,
    webhook_secret,
)
from steps.monitoring.changes import find_changes
from steps.monitoring.compared import Comparison, Version
from steps.monitoring.findings import Findings, as_outputs, lasting_causes, summarize
from steps.monitoring.fleet import Device, read_fleet
from steps.pipeline.outputs import MonitorOutputs
from steps.pipeline.pipeline_parameters import pipeline_name
from steps.pipeline.step import Step, StepRun
from steps.pipeline.tracking_store import ask_store
from steps.registry.aliases import CHAMPION, alias_state, require_version
from steps.registry.versions import TRAINED_BY, read_training
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import Profile

logger = logging.getLogger("steps")

ALARMS_FILE = "alarms.json"

OF_ONE_RUN = {"from", "until", "force", "dry_run", "debug", "verbose", "ingest_retry_quarantine"}
OF_ONE_RUN |= {"promote_version", "promote_reason", "promote_accept_shortcut"}
"""Parameters of the pipeline that say nothing of the next one."""


class Parameters(StepParameters):
    """Compare what came in since a version was trained with what trained it, device by device.

    An alarm is a result and no failure."""

    alias: Alias = Field(CHAMPION, description="alias of the version whose images are compared")
    on_breach: OnBreach = Field(
        "none",
        description="what a lasting alarm or another cause starts: run (the pipeline), webhook "
        "(MONITOR_WEBHOOK_URL), or none",
    )
    cooldown_hours: float = Field(24, ge=0, description="hours between two such starts, at least")
    new_labels: int = Field(
        0, ge=0, description="images labelled since the training that are a cause; 0: none"
    )
    every_days: float = Field(
        0, ge=0, description="days since the training that are a cause, again and again; 0: none"
    )


def monitor(run: StepRun, parameters: Parameters) -> MonitorOutputs:
    """Look for changes of each device, estimate the accuracy, and start what a breach starts."""
    from steps.reports.monitor import fill_report

    if parameters.on_breach == "webhook":
        webhook_secret()
    now, version = datetime.now(UTC), _version(run, parameters.alias)
    comparison = Comparison(run.profile, version)
    fleet = read_fleet(run.profile, version.model, comparison.index, comparison.arrived, now)
    found = [_find(run.profile, comparison, device) for device in fleet]
    estimate = estimate_accuracy(comparison)
    alarms = [alarm for findings in found for alarm in as_outputs(findings)]
    # new training images help against no silence
    told = found if parameters.on_breach == "webhook" else []
    lasting = lasting_causes(told, alarms)
    images = sum(len(findings.compared.new) for findings in found if findings.compared)
    _log_metrics(found, images, estimate)
    mlflow.log_dict([alarm.model_dump() for alarm in alarms], ALARMS_FILE)
    fill_report(run.report, comparison, found, estimate, run.profile.monitoring)
    retraining = Retraining(parameters.new_labels, parameters.every_days)
    acted = act(
        parameters.on_breach,
        find_causes(version, lasting, count_labelled(comparison), now, retraining),
        timedelta(hours=parameters.cooldown_hours),
        now,
        {"model": version.model, "version": version.number, "run_id": run.id}
        | {"alarms": [alarm.model_dump() for alarm in alarms if alarm.ended is None]},
        pipeline_parameters(parameters, version) if parameters.on_breach == "run" else {},
    )
    return MonitorOutputs(
        line=summarize(found, images, estimate) + (f"; {acted}" if acted else ""),
        model=version.model,
        version=version.number,
        devices=len(found),
        images=images,
        alarms=alarms,
        accuracy=(estimate.accuracy, estimate.low, estimate.high) if estimate else None,
        control_images=estimate.images if estimate else 0,
        acted=acted,
    )


def _version(run: StepRun, alias: str) -> Version:
    found = require_version(run.profile.model, alias, made_by="promote")
    started = MlflowClient().get_run(found.tags[TRAINED_BY]).info.start_time
    trained_at = datetime.fromtimestamp(started / 1000, UTC)
    source = read_training(found).selection.source
    return Version(found.name, str(found.version), source, trained_at, found.tags[TRAINED_BY])


def _find(profile: Profile, comparison: Comparison, device: Device) -> Findings:
    if device.name not in comparison.index.devices[0]:
        return Findings(device)
    compared = comparison.device(device.name)
    rate = profile.monitoring.false_alarms_per_camera_month
    changes = find_changes(compared.watched, rate)
    logger.info("%s: %d new images compared", device.title, len(compared.new))
    return Findings(device, compared, changes)


def _log_metrics(found: list[Findings], images: int, estimate: Estimate | None) -> None:
    with_alarm = [findings.device.title for findings in found if findings.lasting]
    metrics: dict[str, float] = {
        "devices": len(found),
        "images_compared": images,
        "alarms": sum(len(findings.lasting) for findings in found),
        "devices_with_alarm": len(with_alarm),
        "devices_silent": sum(findings.is_silent for findings in found),
    }
    if estimate:
        metrics |= {
            "accuracy": estimate.accuracy,
            "accuracy_low": estimate.low,
            "accuracy_high": estimate.high,
            "control_images": estimate.images,
        }
    mlflow.log_metrics(metrics)
    mlflow.set_tag("devices_with_alarm", ",".join(with_alarm))


def pipeline_parameters(parameters: Parameters, version: Version) -> dict[str, str]:
    """Return the parameters of the pipeline that trains the model again.

    They are those of the pipeline that trained the version, or of the step that did so alone, but
    for what was of that run only. The monitor's own replace them.
    """
    from steps.main import Parameters as PipelineParameters
    from steps.train import STEP as TRAIN

    client, fields = MlflowClient(), PipelineParameters.model_fields
    trained = client.get_run(version.trained_by).data
    parent = trained.tags.get(MLFLOW_PARENT_RUN_ID)
    run = ask_store(client.get_run, parent) if parent else None
    before = {pipeline_name(TRAIN, name, fields): value for name, value in trained.params.items()}
    before |= run.data.params if run else {}
    kept = {
        name: value
        for name, value in before.items()
        if name in fields and name not in OF_ONE_RUN and value not in ("", "None")
        if value != str(fields[name].default)
    }
    own: dict[str, Any] = {"profile": parameters.profile, "override": parameters.override}
    own |= {"model": version.model, "source": display(version.source)}
    return kept | {name: value for name, value in own.items() if value}


def _state(parameters: Parameters, profile: Profile) -> str:
    return alias_state(profile.model, parameters.alias)


STEP = Step.of(monitor, settings=("model", "lake", "monitoring"), state=_state)

if __name__ == "__main__":
    STEP.main()

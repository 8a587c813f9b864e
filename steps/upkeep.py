"""Upkeep: compact the Delta tables, and delete files that no kept version needs."""

import logging
from functools import partial

import mlflow
from pydantic import Field

from steps.erasure.erasure import erase
from steps.ingestion.erased import by_age, erasure_folder
from steps.ingestion.tables import TABLES
from steps.lake.disk_use import folder_size, measure_table
from steps.lake.lease import lease
from steps.lake.session import spark_session
from steps.lake.table import current_version
from steps.lake.transaction import retry_conflicts
from steps.landing.polling import WAIT_SECONDS
from steps.pipeline.model_names import released_name
from steps.pipeline.outputs import UpkeepOutputs
from steps.pipeline.runs import experiment_id, finished_runs
from steps.pipeline.step import Step, StepRun
from steps.registry.alias_lock import lock_aliases
from steps.registry.aliases import unreadable_error
from steps.registry.versions import find_registered
from steps.release.freshness import renew_freshness
from steps.release.keys import signing_keys
from steps.reports.upkeep import fill_report
from steps.settings.parameters import StepParameters

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Erase what is too old, compact the tables, and delete files that only old versions need.

    Versions older than the retention can no longer be read afterwards: choose it longer than the
    age of the oldest run that you want to repeat."""

    max_megabytes_per_file: int = Field(256, ge=1, description="size of compacted files, MB")
    retention_days: float = Field(
        30, ge=7, description="days to keep a file after its version was replaced, 7 or more"
    )
    dry_run: bool = Field(False, description="only show what takes space and what would be freed")


def upkeep(run: StepRun, parameters: Parameters) -> UpkeepOutputs:
    """Renew the freshness of releases, erase by age; measure, vacuum and compact each table."""
    outputs = UpkeepOutputs(compacted={}, versions={}, megabytes={}, freed={}, erased={})
    if not parameters.dry_run:
        _renew_freshness(run)  # first: the rest may fail, as for want of a landing zone
    if days := run.profile.retention_days:
        outputs.erased.update(erase(run.profile, run.id, by_age(days), parameters.dry_run).removed)
    use, hours = outputs.megabytes, parameters.retention_days * 24
    with spark_session(run.profile, "upkeep") as spark:
        size = parameters.max_megabytes_per_file * 1024**2
        spark.conf.set("spark.databricks.delta.optimize.maxFileSize", size)
        spark.conf.set("spark.databricks.delta.optimize.minFileSize", size)
        for kind in TABLES:
            if not kind.exists(spark, run.profile):
                continue
            name, table = kind.name, kind.load(spark, run.profile)
            measured = measure_table(spark, table, kind.path(run.profile), hours)
            use[f"{name}, newest version"] = measured.current / 1e6
            use[f"{name}, old versions"] = measured.old / 1e6
            outputs.freed[name] = measured.deletable / 1e6
            before = after = table.detail().head()["numFiles"]
            if not parameters.dry_run:
                # an erasure would delete compacted files that no version has yet
                with lease(erasure_folder(run.profile), run.id, WAIT_SECONDS):
                    # first, since on a full disk there is no space for compacted files
                    retry_conflicts(partial(table.vacuum, hours))
                    retry_conflicts(table.optimize().executeCompaction)
                after = table.detail().head()["numFiles"]
                logger.info("%s: %d files, before %d", name, after, before)
            outputs.compacted[name] = (before, after)
            outputs.versions[name] = current_version(table)
    use["caches"] = folder_size(run.profile.cache) / 1e6
    use["runs"] = folder_size(_artifact_root()) / 1e6
    mlflow.log_metrics({f"{name}_files": after for name, (_, after) in outputs.compacted.items()})
    for what, megabytes in use.items():
        logger.info("%10.1f MB  %s", megabytes, what)
    verb = "would free" if parameters.dry_run else "freed"
    logger.info("%10.1f MB  %s from old versions", sum(outputs.freed.values()), verb)
    fill_report(run.report, outputs, parameters.retention_days)
    return outputs


def _renew_freshness(run: StepRun) -> None:
    model, signed = released_name(run.profile.model), run.profile.release
    if find_registered(model) is None:
        if finished_runs("export", count=1):  # or nothing was ever released
            logger.warning("no release stays fresh: %s", unreadable_error(model))
        return
    with lock_aliases(model, run.id):
        keys, days = partial(signing_keys, signed.key_file), signed.fresh_days
        if renewed := renew_freshness(model, keys, days):
            logger.info("%s is the newest for %g days: %s", model, days, ", ".join(renewed))


def _artifact_root() -> str:
    """Return the folder or URI of the runs' artifacts; that of a server, which has none here."""
    location = mlflow.get_experiment(experiment_id()).artifact_location
    return "" if location.startswith("mlflow-artifacts:") else location.rpartition("/")[0]


STEP = Step.of(upkeep, settings=("lake",), needs_space=False)

if __name__ == "__main__":
    STEP.main()

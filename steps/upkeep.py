"""Upkeep: compact the Delta tables, and delete files that no kept version needs."""

import logging

import mlflow
from pydantic import Field

from steps.ingestion.tables import TABLES
from steps.lake.session import spark_session
from steps.lake.tables import current_version
from steps.pipeline.outputs import UpkeepOutputs
from steps.pipeline.step import Step, StepRun
from steps.reports.upkeep import fill_report
from steps.settings.parameters import StepParameters

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Compact the tables, and delete files that only old versions need.

    Versions older than the retention can no longer be read afterwards: choose it longer than the
    age of the oldest run that you want to repeat."""

    max_megabytes_per_file: int = Field(256, ge=1, description="size of compacted files, MB")
    retention_days: float = Field(
        30, ge=7, description="days to keep a file after its version was replaced, 7 or more"
    )


def upkeep(run: StepRun, parameters: Parameters) -> UpkeepOutputs:
    """Compact, then vacuum, each table that exists."""
    outputs = UpkeepOutputs(compacted={}, versions={})
    with spark_session(run.profile, "upkeep") as spark:
        size = parameters.max_megabytes_per_file * 1024**2
        spark.conf.set("spark.databricks.delta.optimize.maxFileSize", size)
        spark.conf.set("spark.databricks.delta.optimize.minFileSize", size)
        for kind in TABLES:
            if not kind.exists(spark, run.profile):
                continue
            name, table = kind.name, kind.load(spark, run.profile)
            before = table.detail().head()["numFiles"]
            table.optimize().executeCompaction()
            table.vacuum(parameters.retention_days * 24)
            after = table.detail().head()["numFiles"]
            logger.info("%s: %d files, before %d", name, after, before)
            outputs.compacted[name] = (before, after)
            outputs.versions[name] = current_version(table)
    mlflow.log_metrics({f"{name}_files": after for name, (_, after) in outputs.compacted.items()})
    fill_report(run.report, outputs, parameters.retention_days)
    return outputs


STEP = Step("upkeep", Parameters, UpkeepOutputs, upkeep, settings=("lake",))

if __name__ == "__main__":
    STEP.main()

"""Upkeep: small files of the Delta tables into larger ones, and what no version needs deleted."""

import logging

import mlflow
from pydantic import Field

from steps.pipeline.outputs import UpkeepOutputs
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Compact the tables, and delete files that only old versions need.

    A version older than the retention can no longer be read afterwards: keep it longer than the
    oldest run that you want to repeat."""

    max_megabytes_per_file: int = Field(256, ge=1, description="size that small files grow to, MB")
    retention_days: float = Field(
        30, ge=7, description="days that a file stays after its version was replaced, 7 or more"
    )


def upkeep(run: StepRun, parameters: Parameters) -> UpkeepOutputs:
    """Compact, then vacuum, each table that exists."""
    from steps.ingestion.tables import TABLES
    from steps.lake.session import spark_session
    from steps.lake.tables import current_version

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
            logger.info("%s: %d files instead of %d", name, after, before)
            outputs.compacted[name] = (before, after)
            outputs.versions[name] = current_version(table)
    mlflow.log_metrics({f"{name}_files": after for name, (_, after) in outputs.compacted.items()})
    run.report.table(
        "Files",
        ["table", "before", "after", "version"],
        [[name, *files, outputs.versions[name]] for name, files in outputs.compacted.items()],
        f"Versions replaced more than {parameters.retention_days:g} days ago are gone.",
    )
    return outputs


STEP = Step("upkeep", Parameters, UpkeepOutputs, upkeep, settings=("lake",))

if __name__ == "__main__":
    STEP.main()

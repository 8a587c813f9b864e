"""Ingest: images from the landing zone into Delta, with their metadata and statistics."""

import logging
from typing import TYPE_CHECKING, Literal

import mlflow
from pydantic import Field

from steps.errors import UserError
from steps.ingestion.landing import fingerprint, for_fsspec, list_landing_zone, normalised
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from steps.ingestion.arrivals import Limits
    from steps.ingestion.rows import Rules
    from steps.lake.lease import Lease

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Take new images from a landing zone into the tables `images` and `quarantine`."""

    source: str = Field("data/landing", description="folder or URI with images; subfolders count")
    trigger: str = Field(
        "available_now",
        description="available_now: once; continuous; or once a period, such as '10 minutes'",
    )
    max_files_per_batch: int = Field(4000, ge=1, description="most files in a batch of the stream")
    max_megabytes_per_batch: int = Field(
        1024, ge=1, description="most MB in a batch, one file at least"
    )
    names: Literal["pattern", "any"] = Field(
        "pattern",
        description="pattern: a name that does not match the profile's file_name is quarantined, "
        "unless the image's folder labels it; any: it is not",
    )
    gps: Literal["drop", "keep"] = Field("drop", description="drop or keep where it was taken")
    statistics: Literal["full", "sampled"] = Field(
        "full", description="full: of all pixels; sampled: JPEG decoded at a quarter of its sides"
    )
    labels: str = Field("", description="CSV, Parquet or Delta with labels to merge in")
    labels_by: Literal["file_name", "path", "sha256"] = Field(
        "file_name", description="the column of labels that names an image"
    )
    retry_quarantine: bool = Field(False, description="take what is in quarantine again")
    archive: str = Field("", description="folder or URI that files are moved to once taken in")


def ingest(run: StepRun, parameters: Parameters) -> IngestOutputs:
    """Stream what is new, merge labels, and say what the tables hold of this source."""
    from steps.ingestion.arrivals import Arrivals, Limits
    from steps.ingestion.duplicates import Copies
    from steps.ingestion.polling import period_of, polls
    from steps.ingestion.quarantine import retry
    from steps.ingestion.rows import Rules
    from steps.ingestion.stream import open_tables
    from steps.lake.lease import lease
    from steps.lake.session import spark_session

    period = period_of(parameters.trigger)
    source = normalised(parameters.source)
    home = Arrivals(run.profile, source).home
    list_landing_zone(parameters.source, _may_be_empty(parameters, run.profile))
    if parameters.labels and not _exists(parameters.labels):
        raise UserError(
            f"there is no {parameters.labels}; pass -P labels=<CSV file with a header, Parquet, or "
            "Delta table>"
        )
    rules = Rules(
        source=source,
        pattern=run.profile.file_name,
        names="any" if parameters.labels else parameters.names,
        gps=parameters.gps,
        statistics=parameters.statistics,
        run_id=run.id,
    )
    limits = Limits(parameters.max_files_per_batch, parameters.max_megabytes_per_batch * 1_000_000)
    with lease(home, run.id) as held, spark_session(run.profile, "ingest") as spark:
        open_tables(spark, run.profile)
        with polls(period) as numbers:
            for number in numbers:
                new = _take_in(spark, run.profile, parameters, rules, limits, held)
                if period and (new or number == 0):
                    logger.info("look %d: %d new files", number + 1, new)
        if parameters.retry_quarantine:
            with Copies(spark, run.profile, home, rewritten=True):
                logger.info("%d files left the quarantine", retry(spark, run.profile, rules))
        labelled = _merge_labels(spark, run, parameters, source)
        return _say(spark, run, parameters, source, labelled)


def _take_in(
    spark: "SparkSession",
    profile: Profile,
    parameters: Parameters,
    rules: "Rules",
    limits: "Limits",
    held: "Lease",
) -> int:
    """One look; it also completes what a call that was cut off has left."""
    from steps.ingestion.archive import archive
    from steps.ingestion.device_scores import take_in_results
    from steps.ingestion.device_status import take_in_status
    from steps.ingestion.stream import take_in

    files = list_landing_zone(parameters.source, may_be_empty=True).files
    new = take_in(spark, profile, files, rules, limits, held.require)
    held.require()
    take_in_results(spark, profile, rules.source, rules.run_id)
    take_in_status(spark, profile, rules.source, rules.run_id)
    if parameters.archive:
        archive(files, rules.source, normalised(parameters.archive))
    return new


def _merge_labels(spark: "SparkSession", run: StepRun, parameters: Parameters, source: str):
    from steps.ingestion.labels import merge_labels

    if not parameters.labels:
        return None
    labelled = merge_labels(spark, run.profile, source, parameters.labels, parameters.labels_by)
    logger.info("labels: %d added, %d changed", labelled.added, labelled.changed)
    if labelled.conflicts:
        logger.warning(
            "labels: %d images have two and keep what they had, among them %s",
            len(labelled.conflicts),
            ", ".join(labelled.conflicts[:3]),
        )
    return labelled


def _say(
    spark: "SparkSession", run: StepRun, parameters: Parameters, source: str, labelled
) -> IngestOutputs:
    from steps.ingestion.counts import source_counts
    from steps.lake.tables import current_version, id_of, open_table, table_path
    from steps.reports.ingest import fill_report

    images = open_table(spark, run.profile, "images")
    version = current_version(images)
    counts = source_counts(spark, run.profile, source, run.id)
    table = table_path(run.profile, "images")
    outputs = IngestOutputs(
        table=table, table_id=id_of(images), version=version, source=source, **counts
    )
    log_delta_version(outputs.table, version, "ingest")
    mlflow.log_metrics({k: v for k, v in counts.items() if isinstance(v, int)})
    retry = run.commands.rerun(retry_quarantine="true")
    fill_report(run.report, spark, run.profile, outputs, run.id, labelled, retry)
    run.report.next_command = run.commands.next("tune", ingest_run_id=run.id)
    return outputs


def _may_be_empty(parameters: Parameters, profile: Profile) -> bool:
    """Only a landing zone that is waited at, or from which files are moved away, may be."""
    from steps.ingestion.arrivals import Arrivals

    if parameters.trigger != "available_now" or parameters.retry_quarantine:
        return True
    return bool(parameters.archive) and Arrivals(profile, normalised(parameters.source)).exists()


def _state(parameters: Parameters, profile: Profile) -> str:
    """All files that ever landed: one that was archived or deleted since is in the tables."""
    from steps.ingestion.arrivals import Arrivals

    landing = list_landing_zone(parameters.source, _may_be_empty(parameters, profile))
    landed = fingerprint({*landing.files, *Arrivals(profile, landing.source).noted()})
    if not (parameters.labels and _exists(parameters.labels)):
        return landed
    import fsspec

    filesystem, place = fsspec.core.url_to_fs(for_fsspec(parameters.labels))
    return landed + str(sorted(map(str, filesystem.find(place, detail=True).values())))


def _exists(place: str) -> bool:
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(for_fsspec(place))
    return filesystem.exists(path)


def _invalid_reason(outputs: IngestOutputs, profile: Profile) -> str | None:
    from steps.lake.delta_log import missing_files_error

    return missing_files_error(outputs.table, outputs.version, outputs.table_id)


STEP = Step(
    "ingest",
    Parameters,
    IngestOutputs,
    ingest,
    settings=("lake", "file_name"),
    state=_state,
    invalid_reason=_invalid_reason,
)

if __name__ == "__main__":
    STEP.main()

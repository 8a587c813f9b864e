"""Ingest: images from the landing zone into Delta, with their metadata and statistics."""

if __name__ == "__main__":  # before the imports below
    from dataclasses import replace
    from functools import partial

    from steps.ingestion.head_start import begun_session

    with begun_session("ingest") as begun:
        from steps import ingest as step  # noqa: PLW0406  which runs as __main__ here

        replace(step.STEP, run=partial(step.ingest, begun=begun)).main()
    raise SystemExit

import hashlib
import logging
from itertools import chain
from typing import Literal

import mlflow
from pydantic import Field

from steps.errors import UserError
from steps.ingestion import labelled
from steps.ingestion.counts import describe_classes, quarantine_reasons, source_counts
from steps.ingestion.device_scores import ingest_results
from steps.ingestion.device_status import ingest_status
from steps.ingestion.duplicates import Duplicates
from steps.ingestion.erased import read_erased
from steps.ingestion.folders import describe_folders, folders_below, have_splits
from steps.ingestion.follow_labels import apply_labels, pending_labels
from steps.ingestion.label_rows import labels_version
from steps.ingestion.labels import MergedLabels, merge_labels
from steps.ingestion.quarantine import check_quarantine, retry_quarantine
from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGES, QUARANTINE, open_tables
from steps.lake.early_session import EarlySession
from steps.lake.lease import Lease, lease
from steps.lake.newest import GetSpark, Newest
from steps.lake.session import spark_session
from steps.landing.archive import archive
from steps.landing.arrivals import Arrivals, Limits
from steps.landing.listing import Landing, fingerprint, list_landing_zone
from steps.landing.place import display, file_details, normalize, place_exists
from steps.landing.polling import WAIT_SECONDS, leased_polls, list_at_each_poll, parse_trigger
from steps.pipeline.delta_dataset import log_delta_version
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.step import Step, StepRun
from steps.settings.parameters import StepParameters
from steps.settings.profile import Profile

logger = logging.getLogger("steps")


class Parameters(StepParameters):
    """Ingest new images from a landing zone into the tables `images` and `quarantine`."""

    source: str = Field("data/landing", description="folder or URI with images and subfolders")
    trigger: str = Field(
        "available_now",
        description="available_now: once; continuous; or once a period, such as '10 minutes'",
    )
    max_files_per_batch: int = Field(4000, ge=1, description="files in a batch, at most")
    max_megabytes_per_batch: int = Field(
        1024, ge=1, description="MB in a batch, at most; one file at least"
    )
    gps: Literal["drop", "keep"] = Field(
        Rules.gps, description="drop or keep the place where an image was taken"
    )
    statistics: Literal["full", "sampled"] = Field(
        Rules.statistics,
        description="full: of all pixels; sampled: of a JPEG at a quarter of its sides",
    )
    labels: str = Field("", description="CSV, Parquet or Delta table with labels to merge")
    labels_by: Literal["file_name", "path", "sha256"] = Field(
        "file_name", description="the column of labels that identifies an image"
    )
    retry_quarantine: bool = Field(False, description="ingest quarantined files again")
    archive: str = Field("", description="folder or URI to which ingested files are moved")


def ingest(
    run: StepRun, parameters: Parameters, begun: EarlySession | None = None
) -> IngestOutputs:
    """Bring new files into the tables, merge labels, and count the rows of this source.

    Args:
        run: of the step.
        parameters: of the step.
        begun: the session that the command has begun.
    """
    period = parse_trigger(parameters.trigger)
    if parameters.labels and not place_exists(parameters.labels):
        raise UserError(
            f"{parameters.labels} does not exist; pass -P labels=<CSV file with a header, Parquet, "
            "or Delta table>"
        )
    source, profile = normalize(parameters.source), run.profile
    home = Arrivals(profile, source).home
    with begun or EarlySession(lambda: spark_session(profile, "ingest")) as spark:
        is_new = not Newest(IMAGES, profile, spark).exists
        open_tables(spark, profile)  # its one-line errors come before Spark starts
        if is_new and not period:  # which needs files; polls may find none for long
            spark.begin()
        with leased_polls(period, home, run.id) as leases:
            for number, held, zone in list_at_each_poll(parameters.source, leases):
                if number == 0:
                    Arrivals(profile, source).belong_to(Newest(IMAGES, profile, spark).table_id)
                new = _ingest_new_files(spark, run, parameters, zone, held)
                if period and (new or number == 0):
                    logger.info("poll %d: %d new files", number + 1, new)
        folders, labels = _folders(profile, zone), None
        with lease(home, run.id, WAIT_SECONDS):
            if parameters.retry_quarantine:
                with Duplicates(spark, profile, home, rewritten=True):
                    rules = _make_rules(run, parameters, folders)
                    moved = retry_quarantine(spark(), profile, rules)
                    logger.info("%d files left the quarantine", moved)
            if table := parameters.labels:
                labels = merge_labels(spark(), profile, source, table, parameters.labels_by)
            applied = labels_version(profile)
            if pending := pending_labels(Newest(IMAGES, profile, spark), profile, source):
                apply_labels(spark(), profile, pending)
        return _summarize(spark, run, zone, folders, labels, applied)


def _folders(profile: Profile, zone: Landing) -> set[str]:
    """Return the folders of the images that are or ever were in the landing zone."""
    landed = chain(zone.files, Arrivals(profile, zone.source).recorded())
    return folders_below((file.path for file in landed), zone.source)


def _make_rules(run: StepRun, parameters: Parameters, folders: set[str]) -> Rules:
    return Rules(
        source=normalize(parameters.source),
        pattern=run.profile.file_name,
        gps=parameters.gps,
        statistics=parameters.statistics,
        run_id=run.id,
        has_splits=have_splits(folders),
        erased=read_erased(run.profile),
        privacy_masks=run.profile.privacy_masks,
    )


def _ingest_new_files(
    spark: GetSpark, run: StepRun, parameters: Parameters, zone: Landing, held: Lease
) -> int:
    """Ingest what is new in the landing zone, and complete what an interrupted run left."""
    profile, files, source = run.profile, zone.files, zone.source
    rules = _make_rules(run, parameters, _folders(profile, zone))
    limits = Limits(parameters.max_files_per_batch, parameters.max_megabytes_per_batch * 1_000_000)
    new = ingest_files(spark, profile, files, rules, limits, held.require)
    held.require()
    ingest_results(spark, profile, source, run.id, held.require)
    ingest_status(spark, profile, source, run.id)
    if parameters.archive:
        archive(files, source, normalize(parameters.archive))
    return new


def _summarize(
    spark: GetSpark,
    run: StepRun,
    zone: Landing,
    folders: set[str],
    labels: MergedLabels | None,
    applied: int,
) -> IngestOutputs:
    """Return the outputs, and log and report them; ``applied`` is the version of ``labels``."""
    from steps.reports.ingest import fill_report

    images, quarantine = (Newest(table, run.profile, spark) for table in (IMAGES, QUARANTINE))
    source = zone.source
    reasons = quarantine_reasons(quarantine, source)
    counts = source_counts(images, source, run.id)
    counts["quarantined"] = sum(reasons.values())
    check_quarantine(run.commands, counts["images"], reasons, source)
    outputs = IngestOutputs(
        table=IMAGES.path(run.profile),
        table_id=images.table_id,
        version=images.snapshot.version,
        source=source,
        labelled=labelled.digest(labelled.read_labelled(images.rows, source)),
        labels_version=applied,
        **counts,
    )
    trained_on = f"{outputs.table} {outputs.source} {outputs.labelled}"
    mlflow.set_tag(labelled.TAG, hashlib.sha256(trained_on.encode()).hexdigest())
    to_label = run.commands.next("label", source=display(source))
    hint = "" if outputs.labels or not outputs.images else f"; to label them, run: {to_label}"
    logger.info("%s%s", describe_classes(outputs), hint)
    if outputs.labels_from.keys() != {"name"}:
        for note in describe_folders(folders, have_splits(folders)):
            logger.warning("%s", note)
    log_delta_version(outputs.table, outputs.version, "ingest")
    mlflow.log_metrics({k: v for k, v in counts.items() if isinstance(v, int)})
    fill_report(run, images, quarantine, outputs, labels, zone.left_out)
    to_tune = run.commands.next("tune", ingest_run_id=run.id)
    run.report.next_command = to_label if hint else to_tune
    return outputs


def _state(parameters: Parameters, profile: Profile) -> str:
    """Return a hash of all files that ever landed, also of archived and deleted ones.

    An empty landing zone is fine if files may come later, or came before.
    """
    arrivals = Arrivals(profile, normalize(parameters.source))
    may_be_empty = parameters.trigger != "available_now" or arrivals.exists()
    zone = list_landing_zone(parameters.source, may_be_empty)
    landed = fingerprint({*zone.files, *arrivals.recorded()})
    return landed + (file_details(parameters.labels) if parameters.labels else "")


STEP: Step = Step.of(
    ingest,
    settings=("lake", "file_name", "privacy_masks"),
    state=_state,
    invalid_reason=labelled.labelled_change_since,
)

"""Files in quarantine: said with their reasons, and ingested again."""

import logging

from pyspark.sql import SparkSession

from steps.atomic import sync_spark
from steps.errors import RunAgain, UserError
from steps.ingestion.rows import Rules, describe_files
from steps.ingestion.tables import IMAGES, QUARANTINE, current_rows
from steps.landing.place import display
from steps.pipeline.commands import Commands
from steps.settings.profile import Profile

logger = logging.getLogger("steps")

KEY = "row.path = new.path AND row.modified_at = new.modified_at"


def retry_quarantine(spark: SparkSession, profile: Profile, rules: Rules) -> int:
    """Ingest the quarantined files of a source again, by the present rules.

    The bytes are the kept ones; a file that could not be read before is read now. Images move to
    ``images``. They are deleted from ``quarantine`` last, so that the next call completes an
    interrupted one.

    Returns:
        the number of files that moved.
    """
    kept = current_rows(spark, profile, QUARANTINE, rules.source)
    kept = kept.select("path", "bytes", "modified_at", "content")
    described = describe_files(kept, rules).where("reason IS NULL").persist()
    try:
        moved = described.count()
        if moved:
            rows = described.select(*IMAGES.read(spark, profile).columns)
            IMAGES.merge(spark, profile, rows, KEY, lambda into: into.whenNotMatchedInsertAll())
            sync_spark()
            QUARANTINE.merge(spark, profile, rows, KEY, lambda into: into.whenMatchedDelete())
        return int(moved)
    finally:
        described.unpersist()


def check_quarantine(commands: Commands, images: int, reasons: dict[str, int], source: str) -> None:
    """Say what is in quarantine and why; raise an error if not one image was accepted."""
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    if why and not images:
        files = f"all {sum(reasons.values())} files of {display(source)}"
        raise UserError(
            f"{files} are in quarantine ({why}); "
            "replace them or, once the cause is fixed, pass -P retry_quarantine=true",
            RunAgain({"retry_quarantine": "true"}),
        )
    if why:
        retry = commands.rerun(retry_quarantine="true")
        logger.warning("in quarantine: %s; once the cause is fixed, run: %s", why, retry)

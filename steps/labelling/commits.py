"""What a sitting writes into the lake, each as a version with a message: one writing at a time."""

import threading

from steps.atomic import sync_spark
from steps.ingestion.class_names import set_class_names
from steps.ingestion.follow_labels import merge_classes
from steps.ingestion.label_rows import add_labels
from steps.labelling.journal import Journal
from steps.lake.session import spark_session
from steps.settings.profile import Profile


class Commits:
    """Writes the tables ``labels`` and ``classes``; each call starts Spark, if it is needed.

    Args:
        profile: names the lake.
        journal: the labels that no table has yet.
    """

    def __init__(self, profile: Profile, journal: Journal):
        self._profile, self._journal = profile, journal
        self._lock = threading.Lock()
        self._written = self._added = 0

    def labels(self) -> None:
        """Write what the journal has and was not written yet.

        The journal keeps its rows, since others may come in meanwhile: a row is stored once.
        """
        with self._lock:
            rows = self._journal.rows[self._written :]
            if not rows:
                return
            labellers = ", ".join(sorted({row.labeller for row in rows}))
            message = f"{len({row.sha256 for row in rows})} images labelled by {labellers}"
            with spark_session(self._profile, "label") as spark:
                self._added += add_labels(spark, self._profile, rows, message)
            self._written += len(rows)

    def finish(self) -> int:
        """Write what is left, and empty the journal; return how many labels of it were new."""
        self.labels()
        sync_spark()
        self._journal.clear()
        added, self._written, self._added = self._added, 0, 0
        return added

    def names(self, names: dict[str, str]) -> None:
        """Name labels, as :func:`steps.ingestion.class_names.set_class_names` does."""
        with self._lock, spark_session(self._profile, "label") as spark:
            set_class_names(spark, self._profile, names)

    def merge(self, source: str, label: str, into: str, labeller: str) -> int:
        """Merge labels as :func:`steps.ingestion.follow_labels.merge_classes` does."""
        self.labels()
        with self._lock, spark_session(self._profile, "label") as spark:
            return merge_classes(spark, self._profile, source, label, into, labeller)

"""A landing zone and a lake of its own for a test, with an ingest that is one call."""

import itertools
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from steps.ingestion.rows import Rules
from steps.ingestion.stream import ingest_files
from steps.ingestion.tables import IMAGE_TABLES, LABELS, TABLES
from steps.landing.arrivals import Limits
from steps.landing.listing import list_landing_zone
from steps.settings.profile import Profile

LIMITS = Limits(files=1000, bytes=10**9)
BY_NAME = {table.name: table for table in TABLES}


@dataclass
class SmallLake:
    """A landing zone, its lake, and what the tables hold."""

    spark: object
    profile: Profile
    zone: Path
    _seconds: itertools.count = field(default_factory=lambda: itertools.count(1_780_000_000))

    @property
    def source(self) -> str:
        return f"file:{self.zone}"

    def rules(self, **other) -> Rules:
        return Rules(source=self.source, pattern=self.profile.file_name, **other)

    def put(self, files: dict[str, bytes]) -> None:
        """Write files, each a second younger than the one before, however fast the disk is."""
        for name, content in files.items():
            path = self.zone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (second := next(self._seconds), second))

    def ingest(self, **rules) -> int:
        """Ingest what is new and return the number of new files."""
        files = list_landing_zone(str(self.zone)).files
        return ingest_files(lambda: self.spark, self.profile, files, self.rules(**rules), LIMITS)

    def table(self, name: str) -> pd.DataFrame:
        """A table's rows in the order in which they came, with ``name`` below the source."""
        rows = BY_NAME[name].read(self.spark, self.profile).toPandas()
        rows["name"] = rows["path"].str.removeprefix(f"{self.source}/")
        return rows.sort_values("ingested_at", ignore_index=True)

    def table_of(self, name: str) -> pd.DataFrame:
        """A table's rows as they are."""
        return BY_NAME[name].read(self.spark, self.profile).toPandas()

    def versions(self) -> dict[str, int]:
        """Each table's newest version, from its log: asking Spark takes seconds."""
        logs = {table.name: Path(table.path(self.profile), "_delta_log") for table in IMAGE_TABLES}
        return {
            name: max(int(commit.stem) for commit in log.glob("*.json"))
            for name, log in logs.items()
        }

    def copied(self, home: Path) -> "SmallLake":
        """The same tables in another lake, beside the same landing zone.

        A test that changes no file needs no ingest of its own. What ingest noted stays behind.
        """
        lake = home / "lake"
        for table in (*IMAGE_TABLES, LABELS):
            shutil.copytree(table.path(self.profile), lake / table.name)
        return replace(self, profile=self.profile.model_copy(update={"lake": str(lake)}))


def make_small_lake(lake, home: Path) -> SmallLake:
    """A lake in the session that all tests share."""
    return SmallLake(lake.spark, lake.fresh(home), home / "landing zone")

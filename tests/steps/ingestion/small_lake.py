"""A landing zone and a lake of its own for a test, with an ingest that is one call."""

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from steps.ingestion.arrivals import Limits
from steps.ingestion.landing import list_landing_zone
from steps.ingestion.rows import Rules
from steps.ingestion.stream import take_in
from steps.lake.tables import current_version, open_table
from steps.settings.profile import Profile

LIMITS = Limits(files=1000, bytes=10**9)
TABLES = ("images", "quarantine")


@dataclass
class SmallLake:
    """What a test puts into the landing zone, and what the tables say of it."""

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
        """Take in what is new; returns the number of new files."""
        files = list_landing_zone(str(self.zone)).files
        return take_in(self.spark, self.profile, files, self.rules(**rules), LIMITS)

    def table(self, name: str) -> pd.DataFrame:
        """A table's rows in the order in which they came, with ``name`` below the source."""
        rows = open_table(self.spark, self.profile, name).toDF().toPandas()
        rows["name"] = rows["path"].str.removeprefix(f"{self.source}/")
        return rows.sort_values("ingested_at", ignore_index=True)

    def table_of(self, name: str) -> pd.DataFrame:
        """A table's rows as they are."""
        return open_table(self.spark, self.profile, name).toDF().toPandas()

    def versions(self) -> dict[str, int]:
        return {
            name: current_version(open_table(self.spark, self.profile, name)) for name in TABLES
        }


def make_small_lake(lake, home: Path) -> SmallLake:
    """A lake in the session that all tests share."""
    return SmallLake(lake.spark, lake.fresh(home), home / "landing zone")

"""Landing zones and a lake whose ingest is the real step, in the session that all tests share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from small_registry import copied_store

from steps import ingest


@dataclass
class Site:
    """Landing zones, one lake, and an ingest that is the step as a user runs it."""

    spark: object
    home: Path

    @property
    def zone(self) -> Path:
        return self.home / "zone"

    @property
    def table(self) -> str:
        return f"{self.home}/lake/images"

    def put(self, files: dict[str, bytes], zone: str = "zone") -> None:
        for name, content in files.items():
            (self.home / zone).mkdir(exist_ok=True)
            (self.home / zone / name).write_bytes(content)

    def sql(self, statement: str) -> None:
        self.spark.sql(statement.format(images=f"delta.`{self.table}`"))

    def ingest(self, zone: str = "zone", **parameters: str) -> None:
        given = {"profile": f"{self.home}/test.yaml", "source": f"{self.home}/{zone}"} | parameters
        ingest.STEP.main([f"--{name}={value}" for name, value in given.items()])

    def merge(self, labels: dict[str, str]) -> None:
        """Merge a file of labels by a run of ingest that is not the pipeline's."""
        rows = "".join(f"{name},{label}\n" for name, label in labels.items())
        (self.home / "labels.csv").write_text(f"file_name,label\n{rows}")
        self.ingest(labels=str(self.home / "labels.csv"))


@contextmanager
def lake_site(spark, empty_store: Path, home: Path) -> Iterator[Site]:
    """A site with an empty store, which MLflow uses for as long as the context lasts."""
    places = {"extends": "local", "lake": f"{home}/lake", "cache": f"{home}/cache"}
    running = {"spark": {"master": None}}  # the session that all tests share
    (home / "test.yaml").write_text(yaml.safe_dump(places | running))
    with copied_store(empty_store, home):
        yield Site(spark, home)

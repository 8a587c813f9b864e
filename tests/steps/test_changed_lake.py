"""Which steps run after someone changed the lake: real tables, real runs of ingest, real keys."""

import hashlib
import shutil
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import pytest
from drawing import file_name, jpeg
from lake_site import Site, lake_site
from mlflow import MlflowClient
from mlflow.entities import Run

from steps import ingest, tune
from steps.ingestion.label_rows import LabelRow, add_labels
from steps.pipeline.outputs import IngestOutputs
from steps.pipeline.reuse import find_reusable_run
from steps.pipeline.run_files import read_outputs
from steps.settings.profile import load_profile

pytestmark = pytest.mark.slow

LABELLED = {file_name(hour=hour, label=f"_{hour % 2}"): jpeg(hour) for hour in range(8)}
UNLABELLED = {f"IMG_{n:04}.jpg": jpeg(100 + n) for n in range(6)}
NOTHING: tuple[str, ...] = ()
INGEST, ALL = ("ingest",), ("ingest", "tune")
"""What follows tune runs with it: its run is another."""


def _find(site: Site) -> tuple[Run | None, str]:
    """Return the run of ingest that main reuses, or why there is none."""
    profile = load_profile(f"{site.home}/test.yaml")
    with mlflow.start_run():
        parts = ingest.STEP.key_parts(ingest.Parameters(source=str(site.zone)), profile, {})
        return find_reusable_run(ingest.STEP, parts, profile)


def _decide(site: Site, tuned: list[str]) -> tuple[str, tuple[str, ...]]:
    """Decide as main does, and run ingest if it decides so; why, and which steps run."""
    found, reason = _find(site)
    if not found:
        site.ingest()
        found, left = _find(site)
        assert found and not left
    profile = load_profile(f"{site.home}/test.yaml")
    inputs = tune.STEP.key_parts(tune.Parameters(), profile, {"ingest": found.info.run_id})
    tunes = ("tune",) * (inputs["input"]["ingest"] not in tuned)
    tuned.append(inputs["input"]["ingest"])
    return reason, INGEST * bool(reason) + tunes


def _rebuild(site: Site) -> None:
    """Delete the table and write its rows into a new one."""
    site.spark.read.format("delta").load(site.table).write.parquet(f"{site.home}/kept")
    shutil.rmtree(site.table)
    site.spark.read.parquet(f"{site.home}/kept").write.format("delta").partitionBy("date").save(
        site.table
    )


def _sql(*statements: str) -> Callable[[Site], None]:
    return lambda site: [site.sql(statement) for statement in statements]


def _give(how: str = "key", **labels: str | None) -> Callable[[Site], None]:
    """Give labels as the page does: to unlabelled images (as in u0) or labelled ones (as in l3)."""
    images = {f"{kind}{n}": content for kind, files in (("l", LABELLED), ("u", UNLABELLED))
              for n, content in enumerate(files.values())}  # fmt: skip

    def change(site: Site) -> None:
        profile = load_profile(f"{site.home}/test.yaml")
        rows = [
            LabelRow(
                *(uuid.uuid4().hex, hashlib.sha256(images[image]).hexdigest(), label),
                *("ann", how, datetime.now(UTC)),
            )
            for image, label in labels.items()
        ]
        add_labels(site.spark, profile, rows, "a sitting")

    return change


IMG = sorted(UNLABELLED)
ONE, THREE = list(LABELLED)[1], list(LABELLED)[3]
ODD = "label = '1'"
VACUUM = "VACUUM {images} RETAIN 0 HOURS"

CHANGES: dict[str, tuple[Callable[[Site], object], str, tuple[str, ...]]] = {
    "nothing": (lambda site: None, "", NOTHING),
    "a label by SQL": (
        _sql(f"UPDATE {{images}} SET label = '0' WHERE file_name = '{ONE}'"),
        "labels changed (1 changed)",
        ALL,
    ),
    "a label removed by SQL": (
        _sql(f"UPDATE {{images}} SET label = NULL WHERE file_name = '{THREE}'"),
        "labels changed (1 removed)",
        ALL,
    ),
    "more labels and corrections, by a file and another run": (
        lambda site: site.merge(
            dict.fromkeys(IMG[:4], "0") | dict.fromkeys(list(LABELLED)[4:6], "2")
        ),
        "labels changed (4 added, 2 changed)",
        ALL,
    ),
    "the same file again": (
        lambda site: site.merge(dict.fromkeys(IMG[:4], "0")),
        "",
        NOTHING,
    ),
    "compaction": (_sql("OPTIMIZE {images}"), "", NOTHING),
    "VACUUM after compaction": (_sql(VACUUM), "", NOTHING),
    "a label by SQL, and VACUUM": (
        _sql(f"UPDATE {{images}} SET label = '0' WHERE {ODD}", VACUUM),
        "labels changed",
        ALL,
    ),
    "rows of another source": (
        lambda site: (site.put(LABELLED, "other"), site.ingest("other")),
        "",
        NOTHING,
    ),
    "MERGE into another source": (
        _sql(
            "MERGE INTO {images} t USING (SELECT path FROM {images} WHERE path LIKE '%/other/%') s "
            "ON t.path = s.path WHEN MATCHED THEN UPDATE SET label = '7'"
        ),
        "",
        NOTHING,
    ),
    "a device by SQL": (
        _sql("UPDATE {images} SET device_id = '9' WHERE path LIKE '%/zone/%' AND label = '0'"),
        "9 labelled images changed",
        ALL,
    ),
    "a file of a device, not labelled": (
        lambda site: site.put({file_name(hour=20, label=""): jpeg(20)}),
        "what it reads changed",
        INGEST,
    ),
    "a file of a device, labelled": (
        lambda site: site.put({file_name(hour=21, label="_1"): jpeg(21)}),
        "what it reads changed",
        ALL,
    ),
    "rows deleted": (
        _sql("DELETE FROM {images} WHERE path LIKE '%/zone/%' AND label IN ('1', '2')"),
        "labels changed (3 removed)",
        ALL,
    ),
    "restored to an older version": (
        lambda site: site.sql(f"RESTORE TABLE {{images}} TO VERSION AS OF {_newest(site) - 1}"),
        "",  # the runs before the deletion stand again
        NOTHING,
    ),
    "labels and corrections by the page": (
        _give(u0="0", u4="1", l4="0", l6="3"),
        # since the newest run, which found three deleted rows; u0 has this label already
        "labels changed (4 added, 1 changed)",
        ALL,
    ),
    "the same by the page once more": (_give(u4="1"), "", NOTHING),
    "one taken back and one that no one is sure of, by the page": (
        lambda site: (_give("undo", u4=None)(site), _give("not sure", l6=None)(site)),
        "labels changed (2 removed)",
        ALL,
    ),
    "labels by the page, their files compacted": (
        lambda site: (
            _give(u4="1", l6="0")(site),
            site.spark.sql(f"OPTIMIZE delta.`{site.home}/lake/labels`"),
        ),
        "labels changed (2 added)",
        ALL,
    ),
    "by SQL against a row of labels": (  # which is taken back
        _sql(f"UPDATE {{images}} SET label = '9' WHERE file_name = '{IMG[4]}'"),
        "labels changed (1 changed)",
        INGEST,
    ),
    "labels by the page, and VACUUM": (
        lambda site: (_give(u5="1")(site), site.sql("OPTIMIZE {images}"), site.sql(VACUUM)),
        "labels changed",
        ALL,
    ),
    "deleted and rebuilt with the same rows": (_rebuild, " was created again", INGEST),
    "deleted": (lambda site: shutil.rmtree(site.table), " is gone", ALL),
}


def _newest(site: Site) -> int:
    return max(int(commit.stem) for commit in Path(site.table, "_delta_log").glob("*.json"))


@pytest.fixture(scope="module")
def story(lake, empty_store, tmp_path_factory) -> dict[str, tuple[str, tuple[str, ...]]]:
    """What main decides after each change, one after the other in one lake."""
    lake.spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    told, tuned = {}, []
    with lake_site(lake.spark, empty_store, tmp_path_factory.mktemp("changed")) as site:
        site.put(LABELLED | UNLABELLED)
        _decide(site, tuned)
        for name, (change, _, _) in CHANGES.items():
            change(site)
            told[name] = _decide(site, tuned)
        run = MlflowClient().search_runs(["0"], "tags.step = 'ingest'", max_results=1)[0]
        told["left"] = read_outputs(run.info.run_id, IngestOutputs)
    return told


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_runs_what_it_concerns_and_says_why(story, change):
    _, expected, steps = CHANGES[change]
    reason, ran = story[change]
    assert ran == steps
    assert reason == expected or (expected[:1] == " " and reason.endswith(expected))


def test_a_deleted_table_is_filled_from_the_landing_zone(story):
    assert story["left"].images == len(LABELLED) + len(UNLABELLED) + 2
    assert story["left"].labels == {"0": 8, "1": 6, "2": 1}  # labels outlive the images

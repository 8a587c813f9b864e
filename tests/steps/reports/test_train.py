"""The report of train, for predictions worked out by hand."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_cache import write_cache
from small_registry import SELECTION

from steps.audit.audit import audit_network, examine_images
from steps.evaluation.predictions import Predictions
from steps.evaluation.slices import slices
from steps.evaluation.threshold import Threshold
from steps.pipeline.report import Report
from steps.reports.train import fill_report
from steps.settings.profile import Profile, load_profile
from steps.training.fit_result import FitResult

RESULT = FitResult(
    [],
    [
        {"loss": 0.7, "validation_loss": 0.6, "validation_accuracy": 0.5, "learning_rate": 3e-3},
        {"loss": 0.4, "validation_loss": 0.3, "validation_accuracy": 0.9, "learning_rate": 2e-3},
        {"loss": 0.2, "validation_loss": 0.5, "validation_accuracy": 0.8, "learning_rate": 1e-3},
    ],
    best=1,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "cache"
    cache = write_cache(folder, {"train": [6], "validation": [2], "test": [2, 2]})
    cache.counts["guard"] = {"b": 3}
    return cache


OF_SECOND = Threshold(0.4)
NO_LAKE = load_profile("local").model_copy(update={"lake": "/nonexistent"})


def _report(
    cache,
    predicted: list[int],
    brightness: list[float],
    threshold: Threshold = OF_SECOND,
    profile: Profile = NO_LAKE,
    **left_out: list[int],
) -> Report:
    """The report of images 8 to 11, whose classes are 0, 1, 0, 1."""
    probabilities = np.array([[0.9, 0.1] if class_ == 0 else [0.2, 0.8] for class_ in predicted])
    paths = [f"file:/landing/{number}.jpg" for number in range(8, 12)]
    test = Predictions(
        cache.labels,
        probabilities,
        np.array(["a", "b", "a", "b"]),
        np.array([f"{number:064x}" for number in range(8, 12)]),
        np.array(paths),
        np.array(["1", "1", None, None]),
        np.array([f"2026-07-13T0{hour}:30" for hour in (4, 4, 5, 6)], "datetime64[us]"),
        np.array(brightness),
        threshold=threshold.value,
        threshold_label=threshold.label,
    )
    report = Report("train", "run")
    known = cache, SELECTION, test, examine_images(cache)
    audit = audit_network(lambda pixels: np.tile(probabilities[:1], (len(pixels), 1)), *known)
    found = {kind: _predicted(test, classes) for kind, classes in left_out.items()}
    audit = replace(audit, left_out=found)
    fill_report(report, profile, test, slices(test), RESULT, cache, 3e-3, audit, threshold)
    return report


def _predicted(test: Predictions, classes: list[int]) -> Predictions:
    probabilities = np.array([[0.7, 0.3] if class_ == 0 else [0.1, 0.9] for class_ in classes])
    return replace(test, probabilities=probabilities, threshold=None, threshold_label=None)


def _write_table(profile: Profile, name: str, rows: list[dict]) -> None:
    """Write a Delta table of one file, without Spark."""
    log = Path(profile.lake, name, "_delta_log")
    log.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), log.parent / "rows.parquet")
    add = {"path": "rows.parquet", "size": (log.parent / "rows.parquet").stat().st_size}
    (log / f"{0:020}.json").write_text(json.dumps({"add": add}))


def _section(report: Report, title: str):
    return next((section for section in report.sections if section.title == title), None)


def test_headlines_and_tables_of_a_training_with_a_mistake(cache):
    report = _report(cache, predicted=[0, 1, 0, 0], brightness=[110, 39.9, 40, 12])
    headlines = dict(report.headlines)
    assert headlines.pop("95 % interval") == "0.0% – 100.0%"  # by three hours, of 1, 1 and 0
    assert headlines == {
        "test accuracy": "75.0%",
        "test images": "4",
        "best epoch": "2 of 3",
        "threshold for b": "0.400",
    }
    assert _section(report, "Confusion on the test set").rows == [["a", 2, 0], ["b", 1, 1]]
    assert [row[:3] for row in _section(report, "By label").rows] == [["a", 2, 1.0], ["b", 2, 0.5]]
    assert [row[:4] for row in _section(report, "By slice").rows] == [
        ["hour", "06:00", 1, 0.0],
        ["device", "unknown", 2, 0.5],
        ["brightness", "night", 2, 0.5],
        ["day", "2026-07-13", 4, 0.75],
        ["device", "1", 2, 1.0],
        ["hour", "04:00", 2, 1.0],
        ["hour", "05:00", 1, 1.0],
        ["brightness", "bright", 1, 1.0],
        ["brightness", "dim", 1, 1.0],
    ]
    assert _section(report, "Images by split").rows == [
        ["train", 3, 3],
        ["validation", 1, 1],
        ["test", 2, 2],
        ["guard", 0, 3],
    ]
    ((caption, image, *_),) = _section(report, "The worst mistakes").images
    assert caption == "b, predicted a (90%) · 11.jpg" and image.startswith("data:image/jpeg")
    assert _section(report, "Epochs").plot.startswith("<svg")
    assert _section(report, "Shortcuts").rows == []  # images that differ in nothing else
    captions = [caption for caption, *_ in _section(report, "What the answer depends on").images]
    assert captions == ["a, predicted a", "b, predicted b", "a, predicted a", "b, predicted a"]
    assert "b, predicted a (90%)" in report.html()


def test_whose_labels_were_used_and_which_may_be_wrong(cache, tmp_path):
    profile = NO_LAKE.model_copy(update={"lake": str(tmp_path)})
    given = [("key", "ann", "a"), ("proposal", "ann", "b"), ("proposal", "ann", "a")]
    given += [("key", "bob", "a")]  # of an image that is labelled b in the cache: it came later
    rows = [
        {
            "id": str(number),
            "sha256": f"{number:064x}",
            "label": label,
            "labeller": who,
            "how": how,
            "labelled_at": datetime(2026, 7, 13, tzinfo=UTC),
            "proposed_by": None,
        }
        for number, (how, who, label) in enumerate(given)
    ]
    _write_table(profile, "labels", rows)
    _write_table(profile, "classes", [{"label": "b", "name": "bee", "colour": "#fff", "key": "1"}])
    report = _report(cache, [0, 1, 0, 1], [100] * 4, profile=profile, hour=[1, 1, 0, 0])
    used = _section(report, "Labels used")
    assert used.text == (
        "Of 12 labels, 2 were proposed by a model and accepted. The labels are b (bee)."
    )
    assert used.rows == [
        ["name, folder or SQL", "–", 9],
        ["proposal", "ann", 2],
        ["key", "ann", 1],
    ]
    assert _section(report, "Labels that may be wrong").rows == [
        ["/landing/8.jpg", "a", "b (bee)", 0.1],
        ["/landing/11.jpg", "b (bee)", "a", 0.3],
    ]
    report = _report(cache, [0, 1, 0, 1], [100] * 4, hour=[0, 1, 0, 1], block=[0, 0, 0, 1])
    assert _section(report, "Labels used").rows == [["name, folder or SQL", "–", 12]]
    (suspect,) = _section(report, "Labels that may be wrong").rows
    assert suspect[0] == "/landing/9.jpg"


def test_a_wished_miss_rate_is_shown_with_its_cost(cache, caplog):
    wished = Threshold(0.15, "a", rate=0.1, images=29, misses=1)
    with caplog.at_level("INFO", "steps"):
        report = _report(cache, predicted=[0, 1, 1, 1], brightness=[100] * 4, threshold=wished)
    assert dict(report.headlines)["threshold for a"] == "0.150"
    line = (
        "at most 10 % of a are missed, with 95 % confidence, from 0.15 on: 0 of 2 test images; it "
        "costs 2 more false alarms of 2"
    )
    assert caplog.messages == [line]
    section = _section(report, "Threshold of a")
    assert section.text == f"{line}."
    assert section.rows == [
        ["held out", 1, 29, "–", "–", "–"],
        ["test", 0, 2, "0.0% – 65.8%", 2, 2],
        ["test, without it", 1, 2, "9.5% – 90.5%", 0, 2],
    ]
    assert _section(report, "Confusion on the test set").rows == [["a", 2, 0], ["b", 2, 0]]


def test_a_training_without_mistakes_shows_none(cache):
    report = _report(cache, predicted=[0, 1, 0, 1], brightness=[100] * 4)
    assert _section(report, "The worst mistakes") is None
    assert dict(report.headlines)["test accuracy"] == "100.0%"

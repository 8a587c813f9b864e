"""The report of a promotion, for a comparison made by hand."""

import numpy as np
import pytest
from made_predictions import make_predictions
from mlflow.entities.model_registry import ModelVersion
from small_cache import write_cache

from steps.evaluation.comparison import Comparison
from steps.evaluation.promotion_rules import PromotionResult
from steps.pipeline.report import Report
from steps.reports.promote import fill_manual_report, fill_report

CORRECT, WRONG = [0.9, 0.1], [0.1, 0.9]


def version(number: str) -> ModelVersion:
    return ModelVersion("package", number, 0)


def section(report: Report, title: str):
    return next((one for one in report.sections if one.title == title), None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("promote") / "cache", {"test": [4]})


def compare(cache, challenger: list, champion: list | None, refusals: list[str], seen=0):
    ours = make_predictions(4, probabilities=np.array(challenger))
    theirs = champion and make_predictions(4, probabilities=np.array(champion))
    metrics = ours.metrics() | {"accuracy@night": 0.5, "log_loss@night": 0.7}
    was_seen = np.arange(4) < seen
    return Comparison(ours, theirs, was_seen, metrics, PromotionResult(refusals), cache)


def test_a_comparison_shows_metrics_pairs_and_disagreements(cache):
    comparison = compare(
        cache, [CORRECT, WRONG, WRONG, CORRECT], [WRONG, CORRECT, CORRECT, CORRECT], ["too bad"], 1
    )
    report = Report("promote", "run")
    fill_report(report, version("2"), version("1"), comparison)
    assert dict(report.headlines) == {
        "challenger": "version 2",
        "champion before": "version 1",
        "test images": "4",
        "result": "refused",
    }
    assert section(report, "Why not").rows == [["too bad"]]
    assert ["accuracy", 0.5, 0.75] in section(report, "On the same test images").rows
    assert section(report, "By slice").rows == [["accuracy@night", 0.5, "-"]]
    pairs = section(report, "Discordant pairs")
    assert [row[:4] for row in pairs.rows] == [
        ["all: 4", 1, 2, -0.25],
        ["new to both: 3", 0, 2, -0.6667],
        ["known to the champion: 1", 1, 0, 1.0],
    ]
    assert "1 of the 4 test images were used to train the champion" in pairs.text
    captions = [caption for caption, *_ in section(report, "Where the two disagree").images]
    assert captions[0] == "a: challenger a, champion b · 0.jpg" and len(captions) == 3


def test_the_first_version_has_no_champion_to_compare_with(cache):
    report = Report("promote", "run")
    fill_report(report, version("1"), None, compare(cache, [CORRECT] * 4, None, []))
    assert dict(report.headlines)["champion before"] == "none"
    assert dict(report.headlines)["result"] == "passed"
    for title in ("Why not", "Discordant pairs", "Where the two disagree"):
        assert section(report, title) is None


def test_a_move_by_hand_shows_its_reason():
    report = Report("promote", "run")
    fill_manual_report(report, "champion", "3", "1", "sees ghosts")
    assert section(report, "Set by hand").rows == [["champion", "3", "1", "sees ghosts"]]

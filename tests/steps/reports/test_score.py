"""The report of a scoring."""

import pytest

from steps.pipeline.outputs import ScoreOutputs
from steps.pipeline.report import Report
from steps.reports.score import fill_report


def test_images_are_counted_by_label_and_by_reason():
    outputs = ScoreOutputs(
        table="scores", version=1, scored=7, unreadable=3, model="package", model_version="2"
    )
    groups = [
        (2, "1", None, 4, 1),
        (2, "0", None, 3, 0),
        (2, None, "empty", 1, 0),
        (2, None, "damaged", 2, 0),
    ]
    report = Report("score", "run")
    fill_report(report, outputs, groups)
    assert ("model", "package 2") in report.headlines
    by_label, reasons = report.sections
    assert by_label.rows == [["2", "0", 3, 0], ["2", "1", 4, 1], ["2", "none", 3, 0]]
    assert reasons.rows == [["damaged", 2], ["empty", 1]]


@pytest.mark.parametrize("groups", [[(2, "1", None, 1, 0)], []])
def test_a_scoring_without_failures_shows_no_reasons(groups):
    outputs = ScoreOutputs(
        table="scores", version=1, scored=1, unreadable=0, model="package", model_version="2"
    )
    report = Report("score", "run")
    fill_report(report, outputs, groups)
    assert [section.title for section in report.sections] == ["By label"]
    assert report.sections[0].rows == [["2", "1", 1, 0]] * len(groups)

"""The table of a step's stages."""

from steps.pipeline.report import Report
from steps.reports.stage_timings import add_stage_timings


def test_each_stage_is_a_row_in_order():
    report = Report("train", "abc")
    add_stage_timings(report, {"start": 2.04, "cache": 0.5, "epochs": 12.0})
    assert report.sections[0].rows == [["start", 2.0], ["cache", 0.5], ["epochs", 12.0]]

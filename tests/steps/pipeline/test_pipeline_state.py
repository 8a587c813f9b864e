"""How a run of the pipeline is shown."""

from xml.etree import ElementTree

import mlflow
import pytest

from steps.pipeline.pipeline_state import StepDone, format_steps
from steps.pipeline.report import Report
from steps.reports.main import draw, fill_report

DONE = [
    StepDone(step="ingest", run_id="1" * 32, reused=True, reason="", seconds=63.2),
    StepDone(step="tune", run_id="2" * 32, reused=False, reason="it has not run yet", seconds=9),
    StepDone(step="train", run_id="", reused=False, reason="tune runs", seconds=0),
    StepDone(step="register", run_id="", reused=False, reason="<&>", seconds=0, failed=True),
]


def test_a_line_a_step_with_its_time_its_run_and_why():
    assert format_steps(DONE) == [
        f"ingest        63 s  {'1' * 32}  reused",
        f"tune           9 s  {'2' * 32}  run, because it has not run yet",
        f"train            –  {'–':32}  would run, because tune runs",
        f"register         –  {'–':32}  failed: <&>",
    ]


def test_the_report_counts_and_names_the_run_of_each_step():
    report = Report("main", "0" * 32)
    fill_report(report, DONE)
    assert report.headlines == [
        ("steps run", "2"),
        ("steps reused", "1"),
        ("steps that would run", "1"),
        ("seconds in steps that ran", "9"),
    ]
    assert [row[3] for row in report.sections[1].rows] == ["1" * 8, "2" * 8, "–", "–"]


def test_the_graph_has_a_box_for_each_step_and_arrows_between():
    graph = ElementTree.fromstring(draw(DONE))
    texts = [[text.text for text in box.iter("text")] for box in graph.iter("g")]
    assert texts == [
        ["ingest", "63 s", "reused"],
        ["tune", "9 s", "ran"],
        ["train", "–", "would run"],
        ["register", "–", "failed"],
    ]
    assert [box.get("class") for box in graph.iter("g")] == ["reused", "ran", "waits", "failed"]
    assert len([path for path in graph.iter("path") if path.get("class") == "arrow"]) == 3
    assert not list(graph.iter("a"))  # no run is active: the experiment is not known


@pytest.mark.parametrize(
    ("tracking_uri", "server"),
    [
        ("http://mlflow:5000/", "http://mlflow:5000"),
        ("sqlite:////srv/mlflow.db", "http://127.0.0.1:5000"),  # as `mlflow ui` will show it
    ],
)
def test_a_box_leads_to_its_run(store, monkeypatch, tracking_uri, server):
    with mlflow.start_run():
        monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: tracking_uri)
        links = [link.get("href") for link in ElementTree.fromstring(draw(DONE)).iter("a")]
    runs = f"{server}/#/experiments/0/runs/"
    assert links == [runs + "1" * 32, runs + "2" * 32]

"""The step: labels of the page, and of a sitting that was killed, become versions of the table."""

import json
import threading
import uuid
from contextlib import contextmanager, nullcontext
from pathlib import Path

import mlflow
import pytest
import requests
from drawing import jpeg

from benchmarks.made_lake import frame_name, make_lake
from steps import label as step
from steps.errors import UserError
from steps.ingestion.label_rows import all_labels, current_labels
from steps.label import Parameters, label
from steps.labelling.commits import Commits
from steps.labelling.journal import Journal, journal_folder
from steps.labelling.sitting import Press, Sitting
from steps.lake.session import spark_session
from steps.pipeline.commands import Commands
from steps.pipeline.report import Report
from steps.pipeline.step import StepRun
from steps.settings.parameters import parse_parameters

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(lake, store, tmp_path, monkeypatch):
    """A run of the step on a lake of three images."""
    profile, source = make_lake(tmp_path, [(frame_name(n), jpeg(n)) for n in range(3)])
    # the session that the tests share stands for the one that the step would start and stop
    monkeypatch.setattr("steps.labelling.commits.spark_session", lambda *_: nullcontext(lake.spark))
    with mlflow.start_run() as run:
        report = Report("label", run.info.run_id)
        yield StepRun(run.info.run_id, profile, {}, report, Commands("label", Parameters())), source


def left_by_a_killed_sitting(profile, source) -> str:
    journal = Journal(journal_folder(profile))
    sitting = Sitting(profile, source, journal, "bob")
    first = sitting.state.images.sha256[0].decode()
    sitting.label([Press("b" * 32, first, "0", "key", "b" * 32)])
    journal.close()
    return first


def post_then(end, monkeypatch, sha256: str) -> None:
    """Label an image once the page is served, and end the sitting."""

    class Posting(step.Server):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            threading.Thread(target=self.post).start()

        def post(self):
            press = {"id": uuid.uuid4().hex, "action": "a" * 32, "sha256": sha256}
            body = {"labels": [press | {"label": "1", "how": "key"}]}
            assert requests.post(f"{self.address}labels", json=body, timeout=5).ok
            end(self)

    monkeypatch.setattr("steps.label.Server", Posting)


def test_both_sittings_become_versions_with_a_message(opened, monkeypatch):
    run, source = opened
    first = left_by_a_killed_sitting(run.profile, source)
    post_then(
        lambda server: requests.post(f"{server.address}done", json={}, timeout=5),
        monkeypatch,
        first,
    )
    outputs = label(run, Parameters(source=source, labeller="ann", port=0))
    assert outputs.line == "1 labels of ann added; 2 of 3 images have none"
    assert (outputs.added, outputs.unlabelled, outputs.labels) == (1, 2, {"0": 0, "1": 1})
    rows = all_labels(run.profile).to_pylist()
    assert [(row["labeller"], row["label"]) for row in rows] == [("bob", "0"), ("ann", "1")]
    assert [one["label"] for one in current_labels(run.profile).values()] == ["1"]
    log = Path(run.profile.lake, "labels", "_delta_log").glob("*.json")
    messages = [json.loads(line) for file in log for line in file.read_text().splitlines()]
    said = {line["commitInfo"].get("userMetadata") for line in messages if "commitInfo" in line}
    assert {"1 images labelled by bob", "1 images labelled by ann"} <= said
    assert run.report.next_command.endswith(f"-P source={source}")


def test_a_journal_whose_commit_was_killed_before_it_was_cleared_adds_nothing_twice(opened):
    run, source = opened
    left_by_a_killed_sitting(run.profile, source)
    folder = journal_folder(run.profile)
    before = (folder / "labels.jsonl").read_bytes()
    added = []
    for _ in range(2):
        (folder / "labels.jsonl").write_bytes(before)
        journal = Journal(folder)
        added.append(Commits(run.profile, journal).finish())
        assert journal.rows == []
        journal.close()
    assert added == [1, 0] and all_labels(run.profile).num_rows == 1


def test_a_commit_that_fails_leaves_the_journal(opened, monkeypatch):
    run, source = opened
    left_by_a_killed_sitting(run.profile, source)

    def fail(*_):
        raise RuntimeError("the store is away")

    monkeypatch.setattr("steps.labelling.commits.add_labels", fail)
    with pytest.raises(RuntimeError, match="away"):
        label(run, Parameters(source=source))
    journal = Journal(journal_folder(run.profile))
    assert len(journal.rows) == 1
    journal.close()


def test_names_and_merges_of_the_page_are_written_at_once_and_stand_in_its_history(opened):
    run, source = opened
    journal = Journal(journal_folder(run.profile))
    sitting = Sitting(run.profile, source, journal, "ann")
    images = [name.decode() for name in sitting.state.images.sha256]
    sitting.label(
        [
            Press(uuid.uuid4().hex, images[n], label, "key", uuid.uuid4().hex)
            for n, label in enumerate(("boot", "boots"))
        ]
    )
    server = step.Server(sitting, 0)

    def post(path, body) -> requests.Response:
        return requests.post(f"{server.address}{path}", json=body, timeout=60)

    try:
        named = post("names", {"boot": "boot (old)", "boots": "boots of all kinds"}).json()
        assert [one["name"] for one in named["classes"]] == ["boot (old)", "boots of all kinds"]
        taken = post("names", {"shoe": "boot (old)"})
        assert taken.status_code == 409 and "boot is called boot (old) already" in taken.text
        assert post("names", {"shoe": " "}).status_code == 422
        merged = post("merge", {"label": "boot", "into": "boots"}).json()
        assert [one["count"] for one in merged["classes"]] == [0, 2]
        assert post("merge", {"label": "boot", "into": "boots"}).status_code == 409
        sitting.label([Press("f" * 32, images[2], "shoe", "key", "e" * 32)])
        history = requests.get(f"{server.address}history", timeout=5).json()
    finally:
        server.stop()
    assert [one["text"] for one in history] == [
        "boot merged into boots by ann",
        "2 images labelled by ann",
        "named boot=boot (old), boots=boots of all kinds",
    ]
    assert server.commits.finish() == 3 and journal.rows == []
    journal.close()
    rows = all_labels(run.profile).to_pylist()
    assert [row["label"] for row in rows] == ["boot", "boots", "boots", "shoe"]


def test_names_and_a_merge_start_spark_once(opened, lake, monkeypatch):
    run, source = opened
    starts = []

    @contextmanager
    def start(_, step):
        starts.append(step)
        yield lake.spark

    monkeypatch.setattr("steps.lake.session._start", start)
    monkeypatch.setattr("steps.labelling.commits.spark_session", spark_session)
    left_by_a_killed_sitting(run.profile, source)
    outputs = label(run, Parameters(source=source, names="0=no package,1=package", merge="0=1"))
    assert outputs.line == "2 labels named; 1 images are labelled 1 instead of 0"
    assert starts == ["label"] * 2  # the first for what was left


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_ports_that_are_none(port):
    with pytest.raises(UserError, match="port"):
        parse_parameters(Parameters, "label", ["--port", port])

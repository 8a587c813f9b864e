"""The pipeline from Python: its errors, what it hands to steps, and how two runs are compared."""

import html
import os
import shutil

import mlflow
import pytest
from IPython.core.interactiveshell import InteractiveShell
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from small_pipeline import SmallPipeline

from steps import api
from steps.api import Pipeline
from steps.errors import UserError
from steps.interactive.store import VARIABLE
from steps.pipeline.outputs import IngestOutputs, RegisterOutputs
from steps.settings.profile import PROJECT


@pytest.fixture
def p(store, tmp_path) -> Pipeline:
    return Pipeline(tmp_path / "porch", override=f"lake={tmp_path}/lake")


@pytest.fixture
def handed(monkeypatch) -> list[list[str]]:
    """The arguments that steps are started with, in place of the steps."""
    given: list[list[str]] = []
    monkeypatch.setattr(api, "run_step", lambda step, arguments: given.append(arguments) or "5f")
    return given


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda p: p.images(), "has no images yet; run: mlflow run .* -e ingest -P override=lake"),
        (lambda p: p.inspect(), "main has not run here yet; run: mlflow run "),
        (lambda p: p.inspect("tain"), "there is no step 'tain'; did you mean train[?] the steps"),
        (lambda p: p.run("tain"), "there is no step 'tain'"),
        (lambda p: p.run("train"), "porch has not been ingested yet; run: .* -e ingest .*source="),
        (lambda p: p.predict([]), "no registered model 'porch-onnx'.*; run: .* -e export"),
        (lambda p: p.predict([], version="3"), "'porch' has no version 3"),
        (lambda p: p.compare("5f", "5f"), "there is no run '5f'"),
        (lambda p: Pipeline(profile="nope"), "there is no profile 'nope'"),
    ],
)
def test_an_error_says_in_one_line_what_to_do(p, ask, error):
    with pytest.raises(UserError, match=error) as raised:
        ask(p)
    assert "\n" not in str(raised.value)


def test_a_notebook_shows_an_error_without_a_trace(capsys):
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("from steps.api import Pipeline; Pipeline(profile='nope')")
    finally:
        InteractiveShell.clear_instance()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("UserError: there is no profile 'nope'")


def test_relative_places_start_at_the_project(store, tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT / "docs")
    p = Pipeline("data/landing", "profiles/local.yaml")
    assert p._place == f"file:{PROJECT}/data/landing"
    assert p.model == "package"
    assert p.profile.lake == f"{PROJECT}/data/lake"


def log_run(step: str, outputs: str = "{}") -> str:
    """A finished run of a step with its outputs."""
    client = MlflowClient()
    run_id = client.create_run("0", tags={"step": step}).info.run_id
    client.log_text(run_id, outputs, "outputs.json")
    client.set_terminated(run_id)
    return run_id


def ingested(source: str) -> str:
    outputs = {"table": "t", "version": 1, "images": 1, "new_images": 1, "duplicates": 0}
    outputs |= {"source": source, "quarantined": 0, "labels": {}}
    return log_run("ingest", IngestOutputs(**outputs).model_dump_json())


def test_a_step_alone_reads_the_runs_of_its_own_source(p, tmp_path, handed):
    own = ingested(f"file:{tmp_path}/porch")
    ingested("file:/another")
    p.run("train", epochs=3, from_="x")
    assert handed == [
        [
            *(f"--override=lake={tmp_path}/lake", "--epochs=3", "--from=x"),
            *(f"--ingest_run_id={own}", "--tune_run_id=none"),
        ]
    ]
    p.run("register")
    assert handed[1][1:] == ["--train_run_id=5f"]


def registered(model: str) -> str:
    outputs = RegisterOutputs(model=model, version="1")
    return log_run("register", outputs.model_dump_json())


@pytest.mark.parametrize(
    ("step", "parameters", "arguments"),
    [
        *((step, {}, ["--model=porch"]) for step in ("export", "device", "monitor")),
        ("export", {"model": "yard"}, ["--model=yard"]),
        ("promote", {}, ["--model=porch", "--register_run_id={porch}"]),
        ("promote", {"register_run_id": "latest"}, ["--model=porch", "--register_run_id={porch}"]),
        ("promote", {"model": "yard"}, ["--model=yard", "--register_run_id={yard}"]),
        ("score", {"source": "new"}, ["--model=porch", "--source=new"]),
        ("score", {"ingest_run_id": "1a"}, ["--model=porch", "--ingest_run_id=1a"]),
        ("inspect", {}, ["--main_run_id=latest"]),
    ],
)
def test_a_step_alone_works_on_its_own_model_whichever_is_the_newest(
    p, handed, step, parameters, arguments
):
    runs = {"porch": registered("porch"), "yard": registered("yard")}
    p.run(step, **parameters)
    assert handed[0][1:] == [one.format(**runs) if "register" in one else one for one in arguments]


def test_a_challenger_of_another_model_is_refused(p, handed):
    yard = registered("yard")
    with pytest.raises(UserError, match="porch has no finished run of register yet; run: .*until="):
        p.run("promote")
    with pytest.raises(UserError, match="registered yard, not porch; pass model='yard'"):
        p.run("promote", register_run_id=yard)
    assert not handed


def test_each_pipeline_uses_the_store_of_its_own_profile(store, empty_store, tmp_path, monkeypatch):
    other = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'other.db')}"
    here = Pipeline(tmp_path / "porch")
    there = Pipeline(tmp_path / "porch", override=f"tracking_uri={other}")
    assert Pipeline(tmp_path / "porch")._store == here._store == store
    used: list[str] = []
    monkeypatch.setattr(api, "run_step", lambda *_: used.append(os.environ[VARIABLE]) or "5f")
    for p in (there, here, there):
        run = p.run("upkeep")
    assert used == [other, store, other]
    with pytest.raises(UserError, match="main has not run"):
        here.inspect()
    assert mlflow.get_tracking_uri() == store
    with pytest.raises(MlflowException, match="5f"):
        print(run.metrics)
    assert mlflow.get_tracking_uri() == other


def test_after_a_failed_pipeline_no_run_from_before_is_shown(p, handed, monkeypatch):
    p._runs["train"] = log_run("train")
    failed = MlflowClient().create_run("0", tags={"step": "train"}).info.run_id
    MlflowClient().set_terminated(failed, "FAILED")

    def fail(*_):
        raise UserError("train: no memory")

    monkeypatch.setattr(api, "run_step", fail)
    with pytest.raises(UserError, match="no memory"):
        p.run()
    assert p.inspect("train").run_id == failed


def test_the_pipeline_gets_the_source_and_later_steps_its_runs(p, tmp_path, handed, monkeypatch):
    run_id = log_run("main", '{"runs": {"ingest": "1a", "tune": "2b"}}')
    monkeypatch.setattr(api, "run_step", lambda step, arguments: handed.append(arguments) or run_id)
    p.run(until="tune")
    p.run("train")
    assert handed[0][1:] == [f"--source={tmp_path}/porch", "--until=tune"]
    assert handed[1][1:] == ["--ingest_run_id=1a", "--tune_run_id=2b"]
    assert (p.inspect("tune").run_id, p.inspect().run_id) == ("2b", run_id)


def test_a_run_is_shown_as_its_report_or_by_why_it_was_refused(p):
    run_id = log_run("train")
    MlflowClient().log_text(run_id, '<p class="line">&amp;</p>', "report.html")
    page = p.inspect("train")._repr_html_()
    assert html.unescape(page.partition('srcdoc="')[2].partition('" style')[0]) == (
        '<p class="line">&amp;</p>'
    )
    refused = MlflowClient().create_run("0", tags={"step": "tune", "failure": "a < b"}).info.run_id
    MlflowClient().set_terminated(refused, "FAILED")
    assert "a &amp;lt; b" in p.inspect("tune")._repr_html_()


def test_two_runs_are_compared_by_what_decided_them_and_their_metrics(p, monkeypatch):
    pipeline = SmallPipeline(monkeypatch)
    runs, _ = pipeline.go(bake_minutes=40)
    others, _ = pipeline.go(bake_minutes=50)
    table = p.compare(runs["bake"], others["bake"])
    assert "parameter minutes is 50 and was 40" in table.to_html()
    assert table.data.loc["images"].tolist() == [7, 7, 0]
    same = p.compare(runs["bake"], runs["bake"])
    assert "nothing that decides them differs" in same.to_html()
    with pytest.raises(UserError, match="a run of mill is not compared with one of bake"):
        p.compare(runs["mill"], runs["bake"])

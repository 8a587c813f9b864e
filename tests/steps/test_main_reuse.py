"""What the pipeline reuses and what it runs, and why, on three small steps and a real store."""

import shutil
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from small_pipeline import COLD, SmallPipeline

from steps import main
from steps.errors import UserError
from steps.pipeline import reuse
from steps.pipeline.commands import Commands
from steps.pipeline.report import Report
from steps.pipeline.run_files import KEY_FILE, SIZES_FILE
from steps.pipeline.step import StepRun

BAKE_CHANGED = "run, because parameter minutes is 50 and was 40"
NEVER = "run, because it has not run yet"


@pytest.fixture
def pipeline(store, monkeypatch) -> SmallPipeline:
    return SmallPipeline(monkeypatch)


def test_an_unchanged_pipeline_runs_once_and_is_reused(pipeline):
    first, said = pipeline.go()
    assert pipeline.started == ["mill", "bake", "slice"]
    assert said == dict.fromkeys(pipeline.started, NEVER)
    second, said = pipeline.go()
    assert pipeline.started == [] and second == first
    assert said == {step: f"reuse run {id_}" for step, id_ in first.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "runs", "reasons"),
    [
        ({"bake_minutes": 50}, ["bake", "slice"],
         [BAKE_CHANGED, "run, because bake is another run"]),
        ({"mill_turns": 4}, ["mill", "bake", "slice"],
         ["run, because parameter turns is 4 and was 3", "run, because mill is another run",
          "run, because bake is another run"]),
        ({"source": "elsewhere"}, [], []),
        ({"debug": True}, [], []),
        ({"until": "bake", "bake_minutes": 50}, ["bake"], [BAKE_CHANGED]),
    ],
)  # fmt: skip
def test_a_change_runs_what_depends_on_it(pipeline, changed, runs, reasons):
    first, _ = pipeline.go()
    second, said = pipeline.go(**changed)
    assert pipeline.started == runs
    assert {step for step in second if second[step] != first[step]} == set(runs)
    assert [said[step] for step in runs] == reasons
    # and back again, which is known still
    assert pipeline.go()[0] == first and pipeline.started == []


@pytest.mark.parametrize(
    ("asked", "runs"),
    [({"force": "bake"}, ["bake", "slice"]), ({"from": "slice", "mill_turns": 4}, ["slice"])],
)
def test_what_is_asked_for_runs_even_where_a_run_fits(pipeline, asked, runs):
    first, _ = pipeline.go()
    second, said = pipeline.go(**asked)
    assert pipeline.started == runs
    assert said[runs[0]] == "run, because it was asked for"
    assert {step for step in second if second[step] != first[step]} == set(runs)


def test_a_dry_run_only_says_so(pipeline):
    first, _ = pipeline.go()
    runs, said = pipeline.go(bake_minutes=50, dry_run=True)
    assert pipeline.started == [] and runs == {"mill": first["mill"]}
    assert said == {
        "mill": f"reuse run {first['mill']}",
        "bake": BAKE_CHANGED,
        "slice": "run, because bake runs",
    }


@pytest.mark.parametrize(
    ("before", "asked", "reason"),
    [
        # the newest is another in two parts, an older one in one
        ([{"bake_minutes": 45}, {"bake_minutes": 55, "bake_degrees": 200}], {"bake_minutes": 50},
         "parameter minutes is 50 and was 45"),
        # of two as near, the newer
        ([{"bake_minutes": 45}, {"bake_minutes": 46}], {"bake_minutes": 50},
         "parameter minutes is 50 and was 46"),
        # nearest by its input too
        ([{}, {"mill_turns": 4, "bake_minutes": 30}], {"bake_minutes": 50},
         "parameter minutes is 50 and was 40"),
    ],
)  # fmt: skip
def test_the_reason_compares_with_the_nearest_run(pipeline, before, asked, reason):
    for parameters in before:
        pipeline.go(**parameters)
    assert pipeline.go(**asked, dry_run=True)[1]["bake"] == f"run, because {reason}"


def test_runs_that_lost_what_they_were_made_of_are_not_compared_with(pipeline):
    pipeline.go()
    second, _ = pipeline.go(bake_minutes=50, bake_degrees=200.0)
    _artifact(second["bake"], KEY_FILE).unlink()
    asked = {"bake_minutes": 50, "dry_run": True}
    assert pipeline.go(**asked)[1]["bake"] == BAKE_CHANGED
    for run in MlflowClient().search_runs(["0"], "tags.step = 'bake'"):
        _artifact(run.info.run_id, KEY_FILE).unlink(missing_ok=True)
    assert "parameter minutes is 50 and was None" in pipeline.go(**asked)[1]["bake"]


def test_a_run_that_fits_is_found_without_a_look_at_others(pipeline, monkeypatch):
    pipeline.go()
    monkeypatch.setattr(reuse, "read_key_parts", lambda run_id: pytest.fail("it was read"))
    pipeline.go()
    assert pipeline.started == []


def test_a_run_whose_result_does_not_hold_is_run_again(pipeline):
    first, _ = pipeline.go()
    pipeline.stale = first["slice"]
    second, said = pipeline.go()
    assert pipeline.started == ["slice"] and second["slice"] != first["slice"]
    assert said["slice"] == "run, because it is stale"


def _artifact(run_id: str, name: str) -> Path:
    uri = MlflowClient().get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://"), name)


def test_a_run_that_lost_its_outputs_gives_way_to_an_older_one(pipeline):
    first, _ = pipeline.go()
    pipeline.stale = first["slice"]
    second, _ = pipeline.go()
    pipeline.stale = None
    _artifact(second["slice"], "outputs.json").unlink()
    assert pipeline.go()[0] == first and pipeline.started == []
    _artifact(first["slice"], "outputs.json").unlink()
    third, said = pipeline.go()
    assert pipeline.started == ["slice"] and third["slice"] not in second.values()
    assert "has no usable outputs.json" in said["slice"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: _artifact(run, "made/loaf.txt").unlink(), "made/loaf.txt of run {} is gone"),
        (lambda run: shutil.rmtree(_artifact(run, "made")), "made/loaf.txt of run {} is gone"),
        (
            lambda run: _artifact(run, "made/loaf.txt").write_text("a lo"),
            "made/loaf.txt of run {} is of another size",
        ),
        (lambda run: _artifact(run, SIZES_FILE).unlink(), "files.json of run {} is gone"),
        (lambda run: _artifact(run, "outputs.json").write_text("{"), "no usable outputs.json"),
    ],
    ids=["file gone", "folder gone", "file cut", "no list", "outputs damaged"],
)
def test_what_was_deleted_or_damaged_is_made_again(pipeline, damage, said):
    first, _ = pipeline.go()
    damage(first["bake"])
    second, reasons = pipeline.go()
    assert pipeline.started == ["bake", "slice"] and second["mill"] == first["mill"]
    assert said.format(first["bake"]) in reasons["bake"]


@pytest.mark.parametrize("asked", [{"from": "grind"}, {"until": "eat"}, {"force": "bake,fry"}])
def test_what_is_no_step_is_reported(pipeline, asked):
    with pytest.raises(
        UserError, match="is not a step of the pipeline; pass one of: mill bake slice"
    ):
        pipeline.go(**asked)


@pytest.mark.parametrize(("start", "until"), [("slice", "bake"), ("slice", "mill")])
def test_a_pipeline_of_no_step_is_reported(pipeline, start, until):
    with pytest.raises(UserError) as caught:
        pipeline.go(**{"from": start, "until": until})
    assert str(caught.value) == (
        f"nothing would run: {start} comes after {until}; pass -P until={start} or a later step, "
        "or leave it out"
    )
    assert pipeline.started == []


@pytest.mark.parametrize(
    ("minutes", "error", "said"),
    [
        (60, UserError, COLD),
        (61, KeyboardInterrupt, "it was stopped"),
    ],
)
def test_a_pipeline_that_ends_early_has_the_graph_up_to_there(pipeline, minutes, error, said):
    typed = main.make_main_parameters()(bake_minutes=minutes)
    with mlflow.start_run() as run:
        report, commands = Report("main", run.info.run_id), Commands("main", typed)
        opened = StepRun(run.info.run_id, pipeline.profile, {}, report, commands)
        with pytest.raises(error):
            main.main(opened, typed)
    page = report.html()
    assert said in page and 'class="failed"' in page and 'class="ran"' in page
    typed_again = f"mlflow run . --env-manager local -P bake_minutes={minutes} -P from=bake"
    assert commands.resume() == typed_again


@pytest.mark.parametrize(
    ("left_something", "asked", "goes_on"),
    [
        (True, {}, True),
        (True, {"from": "bake"}, True),
        (True, {"force": "bake"}, False),
        (True, {"bake_degrees": 220}, False),  # another key: it would have been another loaf
        (False, {}, False),
    ],
)
def test_an_interrupted_step_is_resumed(pipeline, left_something, asked, goes_on):
    pipeline.left_something = left_something
    cut = pipeline.type("--bake_minutes=61")
    [stopped] = MlflowClient().search_runs(
        ["0"], f"tags.`mlflow.parentRunId` = '{cut}' and tags.step = 'bake'"
    )
    pipeline.type("--bake_minutes=61", *(f"--{name}={value}" for name, value in asked.items()))
    assert pipeline.resumed[-1] == (stopped.info.run_id if goes_on else "none")


@pytest.mark.parametrize(("typed", "told"), [("bake", ""), ("mill,bake,slice", " -P force=slice")])
def test_what_was_forced_goes_on_by_the_command_that_is_reported(pipeline, caplog, typed, told):
    pipeline.type("--bake_minutes=61", f"--force={typed}")
    assert f"--env-manager local{told} -P bake_minutes=61 -P from=bake" in caplog.text

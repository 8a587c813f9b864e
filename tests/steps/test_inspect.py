"""What is shown of a run of the pipeline, and which one is."""

import re

import pytest
from mlflow import MlflowClient
from small_pipeline import COLD, NO_GRAIN, SmallPipeline

from steps import inspect
from steps.errors import UserError
from steps.pipeline.runs import resolve_input

WHOLE, FAILS, STOPPED, BREAKS = ([f"--bake_minutes={n}"] for n in (40, 60, 61, 62))
REFUSED, MISTYPED = ["--mill_turns=0"], ["--bake_minute=60"]
DRY, DRY_TOO = ["--dry_run", "--bake_minutes=50"], ["--dry_run=1", "--bake_minutes=50"]
AGAIN = "resume with: mlflow run . --env-manager local -P bake_minutes={} -P from=bake"


@pytest.fixture
def pipeline(store, monkeypatch) -> SmallPipeline:
    return SmallPipeline(monkeypatch)


@pytest.fixture
def shown(pipeline, capsys):
    """What is printed, without the last line, which is the ID of the run of inspect."""

    def of(*argv: str) -> list[str]:
        capsys.readouterr()
        inspect.STEP.main(list(argv))
        *lines, last = capsys.readouterr().out.splitlines()
        assert last.startswith("run_id=")
        return lines

    return of


def refusal(*argv: str) -> str:
    """The one line that is said instead."""
    with pytest.raises(SystemExit) as ended:
        inspect.STEP.main(list(argv))
    assert isinstance(ended.value.code, str) and "\n" not in ended.value.code
    return ended.value.code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "newest"),
    [
        ([WHOLE], 0),
        ([WHOLE, DRY], 0),
        ([WHOLE, DRY, DRY_TOO], 0),
        ([WHOLE, FAILS], 1),
        ([WHOLE, FAILS, DRY], 1),
        ([FAILS, WHOLE], 1),
        ([WHOLE, BREAKS], 1),
        ([WHOLE, STOPPED], 1),
        ([WHOLE, REFUSED], 1),
        ([WHOLE, MISTYPED], 0),
        ([WHOLE, ["--from=fry"]], 0),
        ([WHOLE, [*REFUSED, "--dry_run"]], 0),
    ],
)
def test_latest_is_the_newest_pipeline_that_went_for_real(pipeline, shown, typed, newest):
    runs = [pipeline.type(*argv) for argv in typed]
    assert shown()[0].startswith(f"main      run {runs[newest]}")


@pytest.mark.parametrize(
    ("argv", "ending", "bake", "rest"),
    [
        (WHOLE, "", r"run, because it has not run yet", []),
        (FAILS, ", which failed", f"failed: {COLD}", [AGAIN.format(60)]),
        (STOPPED, ", which was stopped", "failed: it was stopped", [AGAIN.format(61)]),
    ],
)
@pytest.mark.parametrize("by_id", [False, True])
def test_what_ran_what_failed_and_why_is_shown(pipeline, shown, argv, ending, bake, rest, by_id):
    run_id = pipeline.type(*argv)
    lines = shown(*(["--main_run_id", run_id] if by_id else []))
    assert lines[0] == f"main      run {run_id}{ending}"
    assert re.fullmatch(r"mill +– +\w{32}  run, because it has not run yet", lines[1])
    assert re.fullmatch(rf"bake +(–|\d s) +\w{{32}}  {bake}", lines[2])
    assert "  mill.images                  7" in lines
    assert [line for line in lines if line.startswith("resume with")] == rest


def test_a_pipeline_that_failed_before_its_first_step_says_why(pipeline, shown):
    run_id = pipeline.type(*REFUSED)
    assert shown() == [
        f"main      run {run_id}, which failed",
        f"failed: {NO_GRAIN}",
        "resume with: mlflow run . --env-manager local -P mill_turns=0 -P from=mill",
    ]


def test_a_failure_that_left_nothing_is_shown_by_its_id(pipeline, shown):
    run_id = pipeline.type(*MISTYPED)
    header, why = shown("--main_run_id", run_id)
    assert header.endswith(f"{run_id}, which failed")
    assert why.startswith("failed: main has no parameter 'bake_minute'")


def test_a_dry_run_says_what_would_run(pipeline, shown):
    pipeline.type(*WHOLE)
    lines = shown("--main_run_id", pipeline.type(*DRY))
    assert lines[1].endswith("  reused")
    assert lines[2:4] == [
        f"bake             –  {'–':32}  would run, because parameter minutes is 50 and was 40",
        f"slice            –  {'–':32}  would run, because bake runs",
    ]


@pytest.mark.parametrize("before", [[], [DRY], [MISTYPED]])
def test_without_a_pipeline_the_error_says_how_to_run_one(pipeline, before):
    for argv in before:
        pipeline.type(*argv)
    said = refusal("--profile", "local")
    assert said == (
        "inspect: the pipeline has not run here yet; run: mlflow run . --env-manager local"
    )


def test_a_pipeline_that_still_runs_is_reported(pipeline):
    run = MlflowClient().create_run("0", tags={"step": "main"})
    assert "did not finish (RUNNING)" in refusal("--main_run_id", run.info.run_id)


@pytest.mark.parametrize("argv", [FAILS, STOPPED])
def test_a_pipeline_that_failed_is_no_finished_run(pipeline, argv):
    run_id = pipeline.type(*argv)
    assert {file.path for file in MlflowClient().list_artifacts(run_id)} <= {
        "report.html",
        "pipeline.json",
    }
    with pytest.raises(UserError, match="did not finish"):
        resolve_input("main", run_id)

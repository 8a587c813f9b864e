"""A step's run that ends badly: what is said, and what is left."""

from dataclasses import replace

import mlflow
import pytest
from bakery import BURNT, COLD, STEP, baked, kept, mill
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from steps.errors import UserError


@pytest.fixture
def milled(store) -> str:
    """A finished run of the step before."""
    return mill()


def failure(capsys, *argv: str) -> str:
    """The line that a step ends with; no trace, and nothing that looks like success."""
    with pytest.raises(SystemExit) as ended:
        STEP.main(list(argv))
    # Python prints a text and exits with status 1
    said = ended.value.code
    assert isinstance(said, str) and said.startswith("bake: ") and "\n" not in said
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err and "run_id=" not in shown.out
    return said.removeprefix("bake: ")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--minutes", "60"], BURNT),
        (["--minutes", "50"], COLD),
        (["--minutes", "0"], "minutes: 0 is too small: it has to be at least 1"),
        (["--profile", "moon"], "there is no profile 'moon'"),
        (["--mill_run_id", "0" * 32], f"there is no run '{'0' * 32}'"),
    ],
)
@pytest.mark.parametrize("debug", [[], ["--debug", "false"]])
def test_a_mistake_ends_in_one_line_and_a_failed_run(milled, capsys, argv, told, debug):
    said = failure(capsys, *debug, *argv)
    assert told in said
    (run,) = baked()
    assert run.info.status == "FAILED" and run.data.tags["failure"] == said
    assert kept(run).keys() <= {"report.html"} and mlflow.active_run() is None


def test_a_failed_run_has_a_report_that_says_why(milled, capsys):
    said = failure(capsys, "--minutes", "60")
    (run,) = baked()
    assert said in kept(run)["report.html"]


def test_a_mistake_fails_the_run_that_is_open_already(milled, monkeypatch, capsys):
    opened = MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    failure(capsys, "--minutes", "none")
    (run,) = baked()
    assert (run.info.run_id, run.info.status) == (opened, "FAILED")


@pytest.mark.parametrize("argv", [["--minutes", "60"], ["--minutes", "0"], ["--profile", "moon"]])
@pytest.mark.parametrize("flag", [["--debug"], ["--debug", "true"], ["--debug=True"]])
def test_debug_shows_the_trace_of_a_mistake(milled, argv, flag):
    with pytest.raises(UserError):
        STEP.main([*flag, *argv])
    (run,) = baked()
    assert run.info.status == "FAILED" and run.data.tags["failure"]


def test_another_error_keeps_its_trace_and_fails_the_run(milled, capsys):
    with pytest.raises(ZeroDivisionError) as caught:
        STEP.main(["--minutes", "59"])
    assert caught.traceback[-1].name == "bake"
    assert caught.value.__notes__[-1].endswith(
        "resume with: mlflow run . --env-manager local -e bake -P minutes=59"
    )
    (run,) = baked()
    assert run.info.status == "FAILED" and "failure" not in run.data.tags
    assert "ZeroDivisionError" in kept(run)["report.html"] and mlflow.active_run() is None
    assert "run_id=" not in capsys.readouterr().out


def test_ctrl_c_leaves_a_killed_run(milled, capsys):
    with pytest.raises(SystemExit) as ended:
        STEP.main(["--minutes", "61"])
    assert ended.value.code == 130
    (run,) = baked()
    assert run.info.status == "KILLED" and kept(run) == {} and mlflow.active_run() is None
    assert "run_id=" not in capsys.readouterr().out


def test_what_still_runs_below_a_run_ends_with_it(milled, monkeypatch):
    opened = MlflowClient().create_run("0").info.run_id
    below = MlflowClient().create_run("0", tags={"mlflow.parentRunId": opened}).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    with pytest.raises(SystemExit):
        STEP.main(["--minutes", "61"])
    statuses = {MlflowClient().get_run(id_).info.status for id_ in (opened, below)}
    assert statuses == {"KILLED"}


def test_a_failed_report_says_what_went_in_and_how_to_go_on(milled, capsys):
    failure(capsys, "--minutes", "60")
    page = kept(baked()[0])["report.html"]
    assert milled in page and "Why it failed" in page
    assert "mlflow run . --env-manager local -e bake -P minutes=60" in page


def has_left_something(run_id, profile) -> bool:
    return True


def has_left_nothing(run_id, profile) -> bool:
    return False


def cannot_tell(run_id, profile) -> bool:
    raise MlflowException("the store is away")


@pytest.mark.parametrize(
    ("resumable", "resumes"),
    [(has_left_something, True), (has_left_nothing, False), (cannot_tell, True)],
)
def test_a_run_that_can_be_resumed_is_named_with_its_inputs(milled, resumable, resumes):
    with pytest.raises(ZeroDivisionError) as caught:
        replace(STEP, resumable=resumable).main(["--minutes", "59"])
    (run,) = baked()
    pinned = f" -P resume_run_id={run.info.run_id} -P mill_run_id={milled}"
    assert caught.value.__notes__[-1].endswith(f" -e bake -P minutes=59{pinned * resumes}")

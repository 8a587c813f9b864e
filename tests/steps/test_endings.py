"""How the pipeline ends, by how a step of it ended: exit status, run status, tag, last line."""

import pytest
from mlflow import MlflowClient
from small_pipeline import COLD, NO_GRAIN, SmallPipeline

from steps import main
from steps.pipeline.pipeline_state import MainOutputs
from steps.pipeline.step import Step

RERUN = "mlflow run . --env-manager local"
STAYS = {"result": "champion stays", "line": "champion stays: loaf 3; challenger 5 had 0.89"}
NO_MODEL = {"result": "no model yet", "line": f"no model yet: loaf 1; run: {RERUN} -e bake"}
NEW = {"result": "released", "line": "loaf 3, release 3"}


@pytest.fixture
def pipeline(store, monkeypatch) -> SmallPipeline:
    monkeypatch.setattr(main, "is_released", lambda model, alias: True)
    return SmallPipeline(monkeypatch)


def ended(caplog, *argv: str) -> tuple[int, str, str, str]:
    """Run the pipeline from the command line: exit status, run status, result, last line."""
    caplog.clear()
    try:
        Step("main", main.make_main_parameters(), MainOutputs, main.main).main(list(argv))
        status, last = 0, caplog.messages[-1]
    except SystemExit as error:
        status, last = (error.code, "") if isinstance(error.code, int) else (1, str(error.code))
    except ZeroDivisionError as error:
        status, last = 1, error.__notes__[-1]
    run = MlflowClient().search_runs(["0"], "tags.step = 'main'", max_results=1)[0]
    return status, run.info.status, run.data.tags["result"], last


@pytest.mark.parametrize(
    ("ending", "argv", "expected"),
    [
        (NEW, ["--until=bake"], (0, "FINISHED", "released", "main: loaf 3, release 3")),
        (STAYS, [], (0, "FINISHED", "champion stays", f"main: {STAYS['line']}")),
        (STAYS, ["--on_refusal=fail"], (1, "FAILED", "champion stays", f"main: {STAYS['line']}")),
        (NO_MODEL, [],
         (0, "FINISHED", "no model yet", f"main: no model yet: loaf 1; run: {RERUN}")),
        (NO_MODEL, ["--mill_turns=4", "--on_refusal=fail"],
         (1, "FAILED", "no model yet", "main: no model yet: loaf 1; run: "
          f"{RERUN} -P on_refusal=fail -P mill_turns=4")),
        ({}, ["--bake_minutes=60"],
         (1, "FAILED", "failed", f"main: bake failed and has to be fixed first: {COLD}; run: "
          f"{RERUN} -P bake_minutes=60 -P from=bake")),
        ({}, ["--bake_minutes=61"], (130, "KILLED", "stopped", "")),
        ({}, ["--bake_minutes=62"],
         (1, "FAILED", "failed", "main failed; fix it, then resume with: "
          f"{RERUN} -P bake_minutes=62 -P from=bake")),
        ({}, ["--bake_minutes=63"],
         (1, "FAILED", "no labels", f"main: {NO_GRAIN}; run: "
          f"{RERUN} -P bake_minutes=63 -P ingest_labels=labels.csv")),
        ({}, ["--bake_minutes=64"],
         (1, "FAILED", "no model yet", f"main: {NO_GRAIN}; run: mlflow run . -e mill")),
    ],
)  # fmt: skip
def test_the_table_of_endings(pipeline, caplog, ending, argv, expected):
    caplog.set_level("INFO", "steps")
    pipeline.ending = ending
    assert ended(caplog, *argv) == expected


@pytest.mark.parametrize("ending", [STAYS, NO_MODEL])
@pytest.mark.parametrize("argv", [[], ["--on_refusal=fail"]])
def test_a_refusal_is_reused_and_says_the_same_again(pipeline, caplog, ending, argv):
    caplog.set_level("INFO", "steps")
    pipeline.ending = ending
    first = ended(caplog, *argv)
    assert pipeline.started == ["mill", "bake"]
    pipeline.started.clear()
    assert ended(caplog, *argv) == first
    assert pipeline.started == []


def test_a_pipeline_without_a_change_has_nothing_to_do(pipeline, caplog):
    caplog.set_level("INFO", "steps")
    pipeline.ending = NEW
    ended(caplog, "--until=bake")
    last = "main: nothing to do: loaf 3, release 3"
    assert ended(caplog, "--until=bake") == (0, "FINISHED", "reused", last)


def test_from_a_step_on_what_it_can_do_without_need_not_have_run(pipeline):
    runs, _ = pipeline.go(**{"from": "bake"})
    assert pipeline.started == ["bake", "slice"] and runs.keys() == {"bake", "slice"}


@pytest.mark.parametrize(
    ("asked", "is_released", "runs"),
    [
        ({}, True, []),
        ({"until": "slice"}, True, []),
        ({"from": "slice"}, True, ["slice"]),
        ({"force": "slice"}, True, ["slice"]),
        ({}, False, ["slice"]),
    ],
)
def test_what_comes_after_a_refusal_runs_only_for_a_champion_that_no_device_has(
    pipeline, monkeypatch, asked, is_released, runs
):
    monkeypatch.setattr(main, "is_released", lambda model, alias: is_released)
    pipeline.ending = STAYS
    pipeline.go(until="bake")
    mills, _ = pipeline.go(**asked)
    assert pipeline.started == runs and mills.keys() == {"mill", "bake", *runs}

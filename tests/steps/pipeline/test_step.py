"""A step's run that ends well: what it carries, where it goes, and what its key depends on."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from bakery import STEP, Parameters, bake, baked, kept, key_of, mill
from mlflow import MlflowClient

from edge.protocol.version import project_version
from steps.environment import NESTED
from steps.pipeline.step import Step
from steps.settings.profile import PROFILES, load_profile


@pytest.fixture
def profile(store, tmp_path) -> str:
    """A profile of another name, as the path that a user passes."""
    return str(shutil.copy(PROFILES / "local.yaml", tmp_path / "farm.yaml"))


@pytest.fixture
def milled(store) -> str:
    """A finished run of the step before."""
    return mill()


def test_a_run_carries_its_contract(profile, milled, capsys):
    STEP.main(["--profile", profile, "--minutes", "45"])
    (run,) = baked()
    out = capsys.readouterr().out
    assert out == f"in the oven\nrun_id={run.info.run_id}\n"
    assert (run.info.status, run.info.run_name) == ("FINISHED", "bake")
    own = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    parameters = Parameters(profile=profile, minutes=45)
    assert own == {
        "step": "bake",
        "profile": "farm",
        "project_version": project_version(),
        "model": "package",
        "result": "done",
        "input.mill": milled,
        "cache_key": key_of(
            STEP, parameters, load_profile(profile).named("package"), {"mill": milled}
        ),
    }
    assert run.data.params == {
        "profile": profile,
        "override": "",
        "model": "",
        "debug": "False",
        "verbose": "False",
        "mill_run_id": "latest",
        "minutes": "45",
        "degrees": "None",
    }
    assert run.data.metrics.keys() == {"seconds"}
    files = kept(run)
    left = {"cache_key.json", "report.html", "profile.json"}
    assert files.keys() == {*left, "files.json", "outputs.json"}
    sizes = {name: len(files[name].encode()) for name in left}
    assert json.loads(files["files.json"]) == sizes
    own = {"minutes": 45, "flour": "rye"}
    assert json.loads(files["outputs.json"]) == own | {"result": "done", "line": ""}
    for part in (run.info.run_id, milled, f"eat {run.info.run_id}", "crumbs", "rye"):
        assert part in files["report.html"]


def test_a_step_of_a_pipeline_leaves_the_last_line_to_it(profile, milled, monkeypatch, capsys):
    monkeypatch.setenv(NESTED, "true")
    STEP.main(["--profile", profile])
    assert capsys.readouterr().out == "in the oven\n"


def test_an_input_given_as_none_is_left_out(profile, milled):
    STEP.main(["--profile", profile, "--mill_run_id", "none"])
    (run,) = baked()
    assert [tag for tag in run.data.tags if tag.startswith("input.")] == []
    assert json.loads(kept(run)["outputs.json"])["flour"] is None
    assert "No input runs." in kept(run)["report.html"]
    parameters, read = Parameters(), load_profile("local").named("package")
    assert run.data.tags["cache_key"] == key_of(STEP, parameters, read, {})


def test_an_optional_input_that_never_ran_is_left_out_and_said(store, caplog):
    caplog.set_level("INFO", "steps")
    replace(STEP, optional=("mill",)).main([])
    assert "bake: mill has not run yet, so the defaults are used" in caplog.text
    (run,) = baked()
    assert [tag for tag in run.data.tags if tag.startswith("input.")] == []
    milled = mill()
    replace(STEP, optional=("mill",)).main([])
    assert baked()[0].data.tags["input.mill"] == milled


def test_a_run_that_is_open_already_is_used(profile, milled, monkeypatch, capsys):
    opened = MlflowClient().create_run("0", run_name="from outside").info.run_id
    # what `mlflow run` logs as it was typed cannot be written again in another form
    for name, typed in {"minutes": "+45", "debug": "false"}.items():
        MlflowClient().log_param(opened, name, typed)
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    STEP.main(["--profile", profile, "--minutes", "+45", "--debug", "false"])
    (run,) = baked()
    assert (run.info.run_id, run.info.run_name) == (opened, "from outside")
    assert run.info.status == "FINISHED"
    logged = {name: run.data.params[name] for name in ("minutes", "debug", "degrees")}
    assert logged == {"minutes": "+45", "debug": "false", "degrees": "None"}
    assert capsys.readouterr().out.endswith(f"run_id={opened}\n")


def test_a_run_goes_to_the_store_of_the_profile(profile, store, empty_store, monkeypatch):
    team = Path(profile).with_name("team.db")
    shutil.copy(empty_store, team)
    text = Path(profile).read_text().replace("uri: null", f"uri: sqlite:///{team}")
    Path(profile).write_text(text)
    # as `mlflow run` leaves it where it knows only the store of the environment
    opened = MlflowClient().create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    STEP.main(["--profile", profile, "--mill_run_id", "none"])
    (run,) = baked()
    assert mlflow.get_tracking_uri() == f"sqlite:///{team}"
    assert run.info.status == "FINISHED" and run.info.run_id != opened
    assert MlflowClient(store).search_runs(["0"], "tags.step = 'bake'") == []


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True),
        ({"profile": "elsewhere", "debug": True}, True),
        ({"mill_run_id": "1" * 32}, True),  # the run that it stands for is what counts
        ({"minutes": 41}, False),
        ({"degrees": 220.0}, False),
    ],
)
def test_the_key_depends_on_the_parameters_that_decide_the_result(changed, same):
    local, inputs = load_profile("local"), {"mill": "2" * 32}
    key = key_of(STEP, Parameters(), local, inputs)
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert (key_of(STEP, Parameters(**changed), local, inputs) == key) is same


@pytest.mark.parametrize(
    ("changed", "same"),
    [({"name": "farm"}, True), ({"lake": "/srv/lake"}, True), ({"model": "shoes"}, False)],
)
def test_the_key_depends_on_the_settings_that_the_step_reads(changed, same):
    local = load_profile("local")
    key = key_of(STEP, Parameters(), local, {})
    assert (key_of(STEP, Parameters(), local.model_copy(update=changed), {}) == key) is same


def test_the_key_depends_on_the_state_and_the_inputs():
    local = load_profile("local")
    stateless = Step.of(bake, settings=("model",))
    keys = {
        key_of(STEP, Parameters(), local, {}),
        key_of(STEP, Parameters(), local, {"mill": "1" * 32}),
        key_of(STEP, Parameters(), local, {"mill": "2" * 32}),
        key_of(stateless, Parameters(), local, {}),
    }
    assert len(keys) == 4
    assert STEP.parameters.input_names() == ["mill"]


@pytest.mark.parametrize("name", [None, "my-own-run", "rye-bread-no-7", "zealous-sloth"])
def test_only_a_name_that_mlflow_made_up_gives_way_to_the_step(profile, milled, monkeypatch, name):
    opened = MlflowClient().create_run("0", run_name=name).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    STEP.main(["--profile", profile, "--mill_run_id", "none"])
    (run,) = baked()
    assert (run.info.run_id, run.info.run_name) == (opened, name or "bake")

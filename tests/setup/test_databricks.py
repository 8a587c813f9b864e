"""The bundle for Databricks: it has the fields of the published API, and its tasks run steps."""

import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings

from steps.pipeline.model_names import released_name
from steps.settings.parameters import parse_parameters
from steps.settings.profile import load_profile

TOP = Path(__file__).parents[2]
BUNDLE = yaml.safe_load((TOP / "databricks.yml").read_text())
VALUES = {f"var.{name}": one["default"] for name, one in BUNDLE["variables"].items()}
VALUES |= {"workspace.file_path": str(TOP), "workspace.current_user.userName": "me@example.org"}


def filled_in(value):
    """A part of the bundle with the defaults of its variables, and with what it refers to."""
    if isinstance(value, dict):
        return {key: filled_in(one) for key, one in value.items()}
    if isinstance(value, list):
        return [filled_in(one) for one in value]
    if not isinstance(value, str):
        return value
    if alone := re.fullmatch(r"\$\{([\w.]+)\}", value):
        return _named(alone[1])
    return re.sub(r"\$\{([\w.]+)\}", lambda name: str(_named(name[1])), value)


def _named(name: str):
    if name in VALUES:
        return VALUES[name]
    found = BUNDLE
    for part in name.split("."):
        found = found[part]
    return filled_in(found)


JOB = filled_in(BUNDLE["resources"]["jobs"]["pipeline"])
TASKS = {task["task_key"]: task for task in JOB["tasks"]}
CLUSTER = JOB["job_clusters"][0]["new_cluster"]


def is_published(job) -> bool:
    """Whether all fields and named values are those of the published API: it drops others."""
    return JobSettings.from_dict(job).as_dict() == job


def test_the_job_has_the_fields_of_the_published_api():
    assert is_published(JOB)


@pytest.mark.parametrize(
    "change",
    [
        {"max_concurrent_run": 1},
        {"tasks": [TASKS["ingest"] | {"library": []}]},
        {"tasks": [TASKS["ingest"] | {"spark_python_task": {"file": "a.py"}}]},
        {"job_clusters": [{"job_cluster_key": "a", "new_cluster": {"data_security_mode": "ONE"}}]},
    ],
)
def test_a_job_with_others_has_not(change):
    assert not is_published(JOB | change)


@pytest.mark.parametrize(
    ("kind", "model"), [("jobs", "Job"), ("volumes", "Volume"), ("experiments", "MlflowExperiment")]
)
def test_the_resources_have_the_types_of_the_published_schema(kind, model):
    """The models are made from the bundle's JSON schema. Only Databricks' users may use them, so
    no lock has them."""
    why = "NOT PROVEN HERE: pip install databricks-bundles, if its licence allows you to"
    models = pytest.importorskip(f"databricks.bundles.{kind}", reason=why)
    for resource in BUNDLE["resources"][kind].values():
        getattr(models, model).from_dict(resource)
        with pytest.raises(ValueError, match="Unexpected field 'odd'"):
            getattr(models, model).from_dict(resource | {"odd": 1})


def test_each_task_follows_the_step_whose_run_it_reads():
    before: list[str] = []
    for name, task in TASKS.items():
        assert [one["task_key"] for one in task.get("depends_on", [])] == before[-1:]
        inputs = import_module(f"steps.{name}").Parameters.input_names()
        assert set(inputs) <= set(before) | {"resume"}
        before.append(name)
    assert before == ["ingest", "tune", "train", "register", "promote", "export", "score"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_gives_its_step_parameters_that_it_takes(name):
    project, step, *parameters = TASKS[name]["spark_python_task"]["parameters"]
    assert (project, step) == (str(TOP), name)
    assert (TOP / TASKS[name]["spark_python_task"]["python_file"]).is_file()
    given = parse_parameters(import_module(f"steps.{name}").Parameters, name, parameters)
    if name == "ingest":
        assert given.source == "/Volumes/main/vision/landing"


def test_the_profile_is_read_with_the_variables_of_the_cluster(monkeypatch):
    for variable, value in CLUSTER["spark_env_vars"].items():
        monkeypatch.setenv(variable, value)
    profile = load_profile("databricks")
    assert profile.lake == "/Volumes/main/vision/vision/lake"
    assert (profile.training.launcher, profile.spark.master) == ("single", None)
    assert released_name(profile.model) == "main.vision.package-onnx"
    volumes = filled_in(list(BUNDLE["resources"]["volumes"].values()))
    places = [[v["catalog_name"], v["schema_name"], v["name"]] for v in volumes]
    assert places == [["main", "vision", "landing"], ["main", "vision", "vision"]]


def test_the_packages_are_the_direct_dependencies_but_for_what_the_runtime_has():
    (library,) = TASKS["train"]["libraries"]
    listed = Path(library["requirements"])
    lines = [line for line in listed.read_text().splitlines() if not line.startswith("#")]
    assert (listed.parent / lines[0].removeprefix("-c ")).resolve() == TOP / "requirements.lock"
    direct = re.findall(r"^ *- ([a-z0-9-]+)==", (TOP / "conda.yaml").read_text(), re.MULTILINE)
    assert sorted(lines[1:]) == sorted({*direct} - {"pyspark", "delta-spark", "horovod"})


@pytest.mark.slow
def test_the_script_of_a_task_runs_a_step_from_any_folder(tmp_path):
    """As Databricks does it: in another folder, with the script's own on Python's path."""
    script = shutil.copy(TOP / "setup/databricks_task.py", tmp_path)
    command = [sys.executable, script, str(TOP), "register", "--train_run_id", "none such"]
    environment = {k: v for k, v in os.environ.items() if k not in CLUSTER["spark_env_vars"]}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "databricks.yaml needs the environment variable CATALOG" in done.stderr.splitlines()[-1]

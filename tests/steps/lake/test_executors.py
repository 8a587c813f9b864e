"""What executors on other machines get."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from steps.errors import UserError
from steps.lake.executors import driver_address, executor_environment, project_archive
from steps.lake.session import spark_session


def test_the_archive_is_all_that_a_worker_needs_to_import_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    archive = project_archive()
    imported = "import edge.inference.scoring, steps.tuning.search as it; print(it.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", imported],
        env={"PYTHONPATH": archive},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(archive), done.stderr
    assert all(name.endswith(".py") for name in zipfile.ZipFile(archive).namelist())
    assert project_archive() == archive and len(list(Path(archive).parent.iterdir())) == 1


def test_only_access_to_the_stores_is_forwarded(monkeypatch):
    given = {"AWS_SECRET_ACCESS_KEY": "a", "MLFLOW_TRACKING_PASSWORD": "b", "FSSPEC_S3": "{}"}
    for name, value in (given | {"MY_SECRET": "c", "MLFLOW_RUN_ID": "d"}).items():
        monkeypatch.setenv(name, value)
    assert given.items() <= executor_environment().items()
    assert not {"MY_SECRET", "MLFLOW_RUN_ID"} & set(executor_environment())


@pytest.mark.parametrize(
    ("master", "chosen", "address"),
    [
        ("spark://127.0.0.1:7077", "", "127.0.0.1"),
        ("spark://127.0.0.1:7077,127.0.0.2:7077", "", "127.0.0.1"),
        ("spark://127.0.0.1:7077", "10.0.0.1", None),
        ("spark://head.invalid:7077", "", None),
        ("spark://2130706433:7077", "", None),  # no loopback name, yet it leads to 127.0.0.1
        ("local[*]", "", None),
        ("yarn", "", None),
    ],
)
def test_the_driver_announces_the_address_that_leads_to_the_master(
    master, chosen, address, monkeypatch
):
    monkeypatch.setenv("SPARK_LOCAL_IP", chosen)
    assert driver_address(master) == address


def test_a_master_with_an_impossible_port_is_one_line(monkeypatch):
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)  # of a session before
    with pytest.raises(UserError, match="'spark://head:70777' has no valid port: [^\n]*$"):
        driver_address("spark://head:70777")


@pytest.mark.slow
def test_without_a_master_the_running_session_is_used_and_not_stopped(lake):
    spark = lake.profile.spark.model_copy(update={"master": None})
    with spark_session(lake.profile.model_copy(update={"spark": spark}), "test") as session:
        assert session is lake.spark
    assert SparkSession.getActiveSession() is lake.spark
    assert lake.spark.range(3).count() == 3

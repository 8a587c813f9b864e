"""`make run` uses the given source, or takes images itself if there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """The Makefile among stand-ins that write down what they are called with."""
    checkout = tmp_path / "check out"
    checkout.mkdir()
    shutil.copy(TOP / "Makefile", checkout)
    for name in ("setup/machine.sh", "setup/environments.sh", ".venv/bin/python"):
        _program(checkout / name, "exit 0")
    for name in (".venv/bin/mlflow", ".venv-edge/bin/python"):
        _program(checkout / name, 'printf "[%s]" "$@" >> calls; echo >> calls')
    return checkout


def _program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)


def _make_run(checkout: Path, *arguments: str) -> list[str]:
    # A make that runs the tests must not pass its own flags or source on.
    environment = {k: v for k, v in os.environ.items() if k not in ("SOURCE", "MAKEFLAGS")}
    command = ["make", "--silent", "run", *arguments]
    subprocess.run(command, cwd=checkout, env=environment, check=True)
    return (checkout / "calls").read_text().splitlines()


RUN = "[run][.][--env-manager][local]"


@pytest.mark.parametrize(
    "source", ["images", "s3://bucket/frames", 'the garden\'s "frames"; echo `id`']
)
def test_a_source_is_passed_on_as_it_is(checkout, source):
    assert _make_run(checkout, f"SOURCE={source}") == [
        f"{RUN}[-P][source={source}]",
        f"{RUN}[-e][device][-P][camera=test-set]",
    ]


def test_a_test_set_is_passed_on_if_it_is_given_on_the_command_line(checkout, monkeypatch):
    monkeypatch.setenv("TEST", "1")  # as some systems set it for other purposes
    assert _make_run(checkout, "SOURCE=set/train")[0] == f"{RUN}[-P][source=set/train]"
    given = _make_run(checkout, "SOURCE=set/train", "TEST=set/my 'test'")
    assert given[-2] == f"{RUN}[-P][source=set/train][-P][test=set/my 'test']"


def test_mlflow_says_nothing_of_its_own_but_what_went_wrong(checkout, monkeypatch):
    monkeypatch.delenv("MLFLOW_LOGGING_LEVEL", raising=False)
    _program(checkout / ".venv/bin/mlflow", 'echo "$MLFLOW_LOGGING_LEVEL" >> calls')
    assert _make_run(checkout, "SOURCE=images") == ["WARNING", "WARNING"]


def test_without_a_source_the_simulated_camera_takes_images(checkout):
    assert _make_run(checkout) == [
        "[-m][edge][capture][--camera][simulated][--to][data/landing]",
        f"{RUN}[-P][source=data/landing]",
        f"{RUN}[-e][device][-P][camera=simulated]",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PYTHONSTARTUP": "/x.py"}, {"PYTHONSTARTUP": None}),
        ({"PYTHONHOME": "/opt/python"}, {"PYTHONHOME": None}),
        ({}, {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}),
        ({"NO_PROXY": "lake"}, {"no_proxy": "lake", "NO_PROXY": "127.0.0.1"}),
        ({"no_proxy": "lake"}, {"no_proxy": "lake", "NO_PROXY": "127.0.0.1"}),
        ({}, {"LOGNAME": ""}),
    ],
)
def test_what_the_commands_find_in_their_environment(checkout, given, expected):
    _program(checkout / ".venv/bin/mlflow", "env > environment; exit 1")
    names = {"no_proxy", "NO_PROXY", "LOGNAME", "USER", "MAKEFLAGS", "SOURCE"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    subprocess.run(["make", "--silent", "run", "SOURCE=x"], cwd=checkout, env=kept | given)
    lines = (checkout / "environment").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    for name, value in expected.items():
        assert (name in found) == (value is not None)
        assert value is None or value in found[name]

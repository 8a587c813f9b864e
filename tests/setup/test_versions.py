"""Every version is pinned once, and everything else follows it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

TOP = Path(__file__).parents[2]
CONDA = yaml.safe_load((TOP / "conda.yaml").read_text())
PIP = next(entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict))


def pins(lines) -> dict[str, str]:
    return dict(line.split("==") for line in lines if re.match(r"[a-z0-9-]+==", line))


DIRECT = pins(PIP)
DEVELOPMENT = pins(tomllib.loads((TOP / "pyproject.toml").read_text())["dependency-groups"]["dev"])
PYTHONS = ["3.11", "3.12"]


def locked(python: str, name: str = "requirements.lock") -> dict[str, str]:
    """What a lock has for a Python, by package."""
    lines = (TOP / name).read_text().splitlines()
    wanted = [Requirement(line) for line in lines if not line.startswith("#")]
    machine = {"python_version": python, "python_full_version": f"{python}.1"}
    return {
        one.name: str(one.specifier).removeprefix("==")
        for one in wanted
        if one.marker is None or one.marker.evaluate(machine)
    }


def test_conda_yaml_pins_every_direct_dependency():
    options = [line for line in PIP if line.startswith("-")]
    assert len(DIRECT) + len(options) == len(PIP)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("name", "version"), (DIRECT | DEVELOPMENT).items())
def test_the_lock_has_what_is_pinned(name, version, python):
    assert locked(python).get(name) == version, "run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_gpu_needs_the_same_tensorflow_and_nothing_in_another_version(python):
    added = locked(python, "requirements-gpu.lock")
    assert added["tensorflow"] == DIRECT["tensorflow-cpu"], "run `make lock`"
    assert "nvidia-cudnn-cu12" in added and not added.keys() & locked(python).keys()


def test_nothing_is_pinned_in_two_lists():
    assert not DIRECT.keys() & DEVELOPMENT.keys()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock"])
def test_a_lock_does_not_name_the_machine_that_made_it(name):
    lock = (TOP / name).read_text()
    assert "://" not in lock and " /" not in lock and "--" not in lock


def test_conda_finds_the_horovod_wheel_where_setup_puts_it():
    """The one version that conda.yaml has to say twice, since pip only expands variables."""
    folder = f".cache/lakehouse-vision/wheels/tensorflow-cpu-{DIRECT['tensorflow-cpu']}"
    assert f"--find-links file://${{HOME}}/{folder}" in PIP
    assert "--only-binary horovod" in PIP


@pytest.mark.parametrize("name", ["pyspark", "delta-spark", "horovod", "tensorflow-cpu", "pillow"])
def test_the_set_up_repeats_no_version(name):
    scripts = [TOP / "Makefile", TOP / "pyproject.toml", TOP / ".ci" / "run"]
    scripts += (TOP / "setup").iterdir()
    for script in scripts:
        assert DIRECT[name] not in script.read_text(), script.name


def test_the_device_decodes_with_the_same_pillow():
    """A JPEG gets the same score everywhere only where the same decoder reads it."""
    device = (TOP / "edge" / "requirements.txt").read_text().splitlines()
    assert pins(line.split()[0] for line in device if line)["pillow"] == DIRECT["pillow"]

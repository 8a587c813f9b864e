"""What a profile's file takes from another, from the command line and from the environment."""

from pathlib import Path

import pytest
import yaml

from steps.errors import UserError
from steps.settings.profile import load_profile

CONTENT = {
    "tracking_uri": None,
    "lake": "data/lake",
    "cache": "s3a://bucket/cache/",
    "file_name": "(?P<time>a)(?P<device>b)(?P<view>c)(?P<label>d)",
    "model": "package",
    "spark": {"master": "local[2]", "config": {"spark.driver.memory": "1g"}},
    "training": {"launcher": "single", "processes": 1},
    "promotion": {"min_accuracy": 0.5, "max_regression": 0.0},
}


def written(folder: Path, content: dict, name: str = "farm.yaml") -> Path:
    """A profile's file."""
    path = folder / name
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_profile_extends_another_key_by_key(tmp_path):
    written(tmp_path, CONTENT, "base.yaml")
    above = {"extends": str(tmp_path / "base.yaml"), "model": "shoes", "training": {"processes": 4}}
    read = load_profile(str(written(tmp_path, above)))
    assert (read.name, read.model, read.cache) == ("farm", "shoes", "s3a://bucket/cache")
    assert (read.training.launcher, read.training.processes) == ("single", 4)


def test_a_profile_that_extends_itself_is_told(tmp_path):
    first, second = tmp_path / "farm.yaml", tmp_path / "base.yaml"
    written(tmp_path, {"extends": str(second)})
    written(tmp_path, {"extends": str(first)}, "base.yaml")
    with pytest.raises(UserError) as caught:
        load_profile(str(first))
    assert str(caught.value) == f"{first} extends itself; take its extends away"


def test_overrides_reach_into_sections_and_are_checked(tmp_path):
    path = str(written(tmp_path, CONTENT))
    read = load_profile(path, "training.processes=3,model=shoes")
    assert (read.training.processes, read.model) == (3, "shoes")
    with pytest.raises(UserError, match="training.speed"):
        load_profile(path, "training.speed=9")
    with pytest.raises(UserError, match="'model' overrides nothing"):
        load_profile(path, "model")
    with pytest.raises(UserError, match=r"override=lake=\[a is not YAML"):
        load_profile(path, "lake=[a")
    with pytest.raises(UserError, match="gives 'training' a value of its own beside"):
        load_profile(path, "training=4,training.processes=2")


def test_what_comes_from_the_environment_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", "https://me:secret@there")
    read = load_profile(str(written(tmp_path, CONTENT | {"tracking_uri": "${STORE}"})))
    assert read.tracking_uri == "https://me:secret@there"
    assert read.shown["tracking_uri"] == "${STORE}" and "secret" not in str(read.shown)

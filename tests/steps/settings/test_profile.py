"""Profiles: what is read from their files, and what is said about one that does not fit."""

import copy
from functools import reduce
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from steps.errors import UserError
from steps.settings import profile as profile_module
from steps.settings.profile import PROFILES, PROJECT, Profile, load_profile
from steps.settings.profile_file import VARIABLE
from steps.settings.search_space import SearchSpace

GROUPS = "(?P<time>a)(?P<device>b)(?P<view>c)(?P<label>d)"
CONTENT = {
    "tracking_uri": None,
    "lake": "data/lake",
    "cache": "s3a://bucket/cache/",
    "file_name": GROUPS,
    "model": "package",
    "spark": {"master": "local[2]", "config": {"spark.driver.memory": "1g"}},
    "training": {"launcher": "single", "processes": 1},
    "promotion": {"min_accuracy": 0.5, "max_regression": 0.0},
}


def written(folder: Path, content: object, name: str = "farm.yaml") -> Path:
    """A profile's file; text goes into it as it is."""
    path = folder / name
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    return path


def changed(key: str, value: object) -> dict:
    """The content with one key changed; a dot leads into a section."""
    content = copy.deepcopy(CONTENT)
    *sections, last = key.split(".")
    place = content
    for section in sections:
        place = place[section]
    place[last] = value
    return content


def without(key: str) -> dict:
    """The content with one key left out."""
    content = changed(key, None)
    *sections, last = key.split(".")
    del (content[sections[0]] if sections else content)[last]
    return content


def refusal(path: Path | str) -> str:
    """The one line that is said about a profile."""
    with pytest.raises(UserError) as caught:
        load_profile(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profile_of_the_project_is_found_by_its_name(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in VARIABLE.finditer(path.read_text(encoding="utf-8")):
        monkeypatch.setenv(variable[1], "elsewhere")
    by_name = load_profile(path.stem)
    assert by_name.name == path.stem
    assert by_name == load_profile(str(path))


def test_a_profile_that_is_not_named_is_the_local_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    local = load_profile("local")
    assert local.tracking_uri is None
    assert (local.lake, local.cache) == (f"{PROJECT}/data/lake", f"{PROJECT}/data/cache")
    assert local.promotion.min_accuracy is None


def test_a_profile_is_read_from_a_path_into_types(tmp_path):
    read = load_profile(str(written(tmp_path, CONTENT)))
    places = {"lake": f"{PROJECT}/data/lake", "cache": "s3a://bucket/cache"}
    assert read.model_dump() == Profile(name="farm", **CONTENT | places).model_dump()
    with pytest.raises(ValidationError, match="frozen"):
        read.model = "other"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("data/lake", f"{PROJECT}/data/lake"),
        ("../lake/", f"{PROJECT.parent}/lake"),
        ("/srv/lake", "/srv/lake"),
        ("~/lake", "/home/pi/lake"),
        ("hdfs://host:8020/lake//", "hdfs://host:8020/lake"),
    ],
)
@pytest.mark.parametrize("key", ["lake", "cache"])
def test_a_place_is_absolute_whatever_folder_one_is_in(tmp_path, monkeypatch, key, place, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/pi")
    assert getattr(load_profile(str(written(tmp_path, changed(key, place)))), key) == expected


@pytest.mark.parametrize(
    "key",
    [
        *(key for key in CONTENT if key != "model"),
        *("spark.master", "training.launcher", "promotion.max_regression"),
    ],
)
def test_a_missing_key_is_named_with_the_file(tmp_path, key):
    path = written(tmp_path, without(key))
    assert refusal(path) == f"{path}: {key}: this key is missing"


KEYS = ", ".join([*Profile.model_fields, "extends"])


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("lakes", KEYS),
        ("Model", KEYS),
        ("spark.masters", "master, config"),
        ("training.proceses", "launcher, processes, cache_gigabytes"),
        ("promotion.thresholds.min.mim", "min, max"),
        ("tuning.space.depth", ", ".join(SearchSpace.model_fields)),
        ("tuning.space.width.steps", "low, high, scale, step, choices"),
    ],
)
def test_an_unknown_key_is_named_with_the_file_and_those_there_are(tmp_path, key, known):
    content = copy.deepcopy(CONTENT) | {"tuning": {"space": {"width": {"low": 0.5, "high": 1}}}}
    content["promotion"]["thresholds"] = {"min": {"max": 1}}
    *sections, last = key.split(".")
    reduce(dict.__getitem__, sections, content)[last] = "here"
    path = written(tmp_path, content)
    assert refusal(path) == f"{path}: {key}: there is no such key, only {known}"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("lake", 7, "it has to be text"),
        ("model", "a/b", "a model's name has none of / :"),
        ("model", "shoes-onnx", "does not end in -onnx"),
        ("model", 7, "it has to be text"),
        ("spark", "local", "it has to be a section with keys"),
        ("spark.config", {"spark.cores": 2}, "it has to be text"),
        ("training.launcher", "mpi", "'auto', 'horovod', 'horovod-spark' or 'single'"),
        ("training.processes", 0, "0 is too small: it has to be at least 1"),
        ("promotion.min_accuracy", 90, "90 is too large: it can be at most 1"),
        ("promotion.max_regression", -0.1, "-0.1 is too small: it has to be at least 0"),
        ("file_name", "(?P<time>.)(?P<label>.)", "no group device, view"),
        ("file_name", GROUPS + "(", "missing ), unterminated subpattern"),
        ("file_name", None, "it has to be text"),
        ("regions", [0, 0, 1, 1], "it has to be a section with keys"),
        ("regions", {7: [0, 0, 1, 1]}, "it has to be text"),
        ("regions", {"7": [0, 0, 1]}, "regions.7: no part of an image; give x,y,"),
        ("regions", {"7": [0.5, 0, 0.6, 1]}, "regions.7: no part of an image; give x,y,"),
        ("regions", {"7": "left"}, "regions.7: no part of an image; give x,y,"),
        ("regions", {"7": None}, "regions.7: no part of an image; give x,y,"),
        ("privacy_masks", {"7": [0, 0, 1, 1]}, "privacy_masks.7.0: no part of an image; give x,y,"),
        ("privacy_masks", {"7": [[0, 0, 1]]}, "privacy_masks.7.0: no part of an image; give x,y,"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_the_file(tmp_path, key, value, told):
    path = written(tmp_path, changed(key, value))
    said = refusal(path)
    assert said.startswith(f"{path}: {key}") and told in said
    assert said.count(str(path)) == 1


def test_all_that_is_wrong_is_reported_at_once(tmp_path):
    content = without("lake") | {"lakes": "x"}
    said = refusal(written(tmp_path, content))
    assert "lake: " in said and "; lakes: " in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lake: [1,\n  2\nmodel: x", "is not YAML: "),
        ("lake: 'open", "is not YAML: "),
        ("a: \t- b: c: d", "is not YAML: "),
        ("- lake\n- cache", "not a mapping of keys"),
        ("just a sentence", "not a mapping of keys"),
        ("", "lake: this key is missing"),
        ("# only a remark", "lake: this key is missing"),
        ("1: x", "Keys should be strings"),
    ],
)
def test_a_file_that_is_no_profile_is_reported(tmp_path, text, told):
    path = written(tmp_path, text)
    said = refusal(path)
    assert said.startswith(str(path)) and told in said


def test_a_file_in_another_encoding_is_reported(tmp_path):
    path = tmp_path / "farm.yaml"
    path.write_bytes("model: küche\n".encode("latin-1"))
    assert refusal(path).startswith(f"{path} is not YAML: ")


@pytest.mark.parametrize("name", ["moon", "", "local/", "../local", "missing.yaml", "far/x.yml"])
def test_a_missing_profile_is_reported_with_those_there_are(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, CONTENT, "farm.yaml")
    written(tmp_path, CONTENT, "roof.yaml")
    monkeypatch.setattr(profile_module, "PROFILES", tmp_path)
    said = refusal(name)
    assert f"there is no profile {name!r}" in said
    assert said.endswith("pass -P profile=<one of: farm, roof>")


def test_a_variable_of_the_environment_stands_in_a_value(tmp_path, monkeypatch):
    monkeypatch.setenv("BUCKET", "eggs")
    monkeypatch.setenv("STORE", "http://mlflow:5000")
    content = changed("lake", "s3a://${BUCKET}/${BUCKET}-lake") | {"tracking_uri": "${STORE}"}
    read = load_profile(str(written(tmp_path, content)))
    assert (read.lake, read.tracking_uri) == ("s3a://eggs/eggs-lake", "http://mlflow:5000")


def test_a_variable_that_is_not_set_is_named_with_the_file(tmp_path, monkeypatch):
    monkeypatch.delenv("BUCKET", raising=False)
    path = written(tmp_path, changed("lake", "s3a://${BUCKET}/lake"))
    said = refusal(path)
    assert said == f"{path} needs the environment variable BUCKET: export it first"


@pytest.mark.parametrize(
    ("value", "place"),
    [("${BUCKET:-eggs}", "eggs"), ("${BUCKET:-}", ""), ("a${BUCKET:-b-}", "ab-")],
)
def test_a_variable_with_a_default_need_not_be_set(tmp_path, monkeypatch, value, place):
    monkeypatch.delenv("BUCKET", raising=False)
    path = written(tmp_path, changed("lake", f"s3a://x/{value}/lake"))
    assert load_profile(str(path)).lake == f"s3a://x/{place}/lake"
    monkeypatch.setenv("BUCKET", "milk")
    assert "milk/lake" in load_profile(str(path)).lake


def test_a_variable_in_a_remark_is_not_needed(tmp_path, monkeypatch):
    monkeypatch.delenv("BUCKET", raising=False)
    text = "  # lake: s3a://${BUCKET}\n" + yaml.safe_dump(CONTENT)
    assert load_profile(str(written(tmp_path, text))).model == "package"

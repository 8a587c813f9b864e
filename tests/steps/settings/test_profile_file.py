"""What a profile's file takes from another, from the command line and from the environment."""

from pathlib import Path

import pytest
import yaml

from steps.errors import UserError
from steps.settings.profile import Profile, load_profile
from steps.settings.profile_file import write_sections

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


def test_a_profile_that_extends_itself_is_reported(tmp_path):
    first, second = tmp_path / "farm.yaml", tmp_path / "base.yaml"
    written(tmp_path, {"extends": str(second)})
    written(tmp_path, {"extends": str(first)}, "base.yaml")
    with pytest.raises(UserError) as caught:
        load_profile(str(first))
    assert str(caught.value) == f"{first} extends itself; remove its extends"


@pytest.mark.parametrize("base", ["nothere", "far/base.yaml"])
def test_a_profile_that_extends_none_is_named(tmp_path, base):
    middle = written(tmp_path, {"extends": base}, "middle.yaml")
    with pytest.raises(UserError) as caught:
        load_profile(str(written(tmp_path, {"extends": str(middle)})))
    said = str(caught.value)
    assert said.startswith(f"{middle}: extends: there is no profile '{base}' (")
    assert said.endswith("; name one of: cluster, databricks, local, or a file's path")


def test_overrides_reach_into_sections_and_are_checked(tmp_path):
    path = str(written(tmp_path, CONTENT))
    read = load_profile(path, "training.processes=3,model=shoes")
    assert (read.training.processes, read.model) == (3, "shoes")
    with pytest.raises(UserError, match="'model' is not <key>=<value>"):
        load_profile(path, "model")
    with pytest.raises(UserError, match=r"override=lake=\[a has no valid YAML"):
        load_profile(path, "lake=[a")
    with pytest.raises(UserError, match="sets both 'training' and"):
        load_profile(path, "training=4,training.processes=2")


PROCESSES = "there is no such key, only launcher, processes, cache_gigabytes"
SPACE = {"tuning": {"space": {"learning_rate": {"low": 0.01, "high": 0.1}}}}


@pytest.mark.parametrize(
    ("content", "overrides", "said"),
    [
        ({}, "training.proceses=4", f"-P override: training.proceses: {PROCESSES}"),
        ({}, "model=shoes,extends=base",
         f"-P override: extends: there is no such key, only {', '.join(Profile.model_fields)}"),
        ({}, "training.processes=0",
         "-P override: training.processes: 0 is too small: it has to be at least 1"),
        (SPACE, "tuning.space.learning_rate.low=0.2",
         "-P override: tuning.space.learning_rate: low 0.2 is not below high 0.1"),
        ({"training": {"launcher": "single", "proceses": 1}}, "training.launcher=auto",
         "{path}: training.processes: this key is missing; "
         f"training.proceses: {PROCESSES}"),
        ({"lake": 7}, "training={processes: 2}",
         "{path}: lake: it has to be text"),
        ({"lake": 7}, "training.speed=9",
         "{path}: lake: it has to be text; "
         f"-P override: training.speed: {PROCESSES}"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_of_the_override_or_of_the_file(
    tmp_path, content, overrides, said
):
    path = written(tmp_path, CONTENT | content)
    with pytest.raises(UserError) as caught:
        load_profile(str(path), overrides)
    assert str(caught.value) == said.format(path=path)


def test_what_comes_from_the_environment_is_not_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("STORE", "https://me:secret@there")
    read = load_profile(str(written(tmp_path, CONTENT | {"tracking_uri": "${STORE}"})))
    assert read.tracking_uri == "https://me:secret@there"
    assert read.shown["tracking_uri"] == "${STORE}" and "secret" not in str(read.shown)


@pytest.mark.parametrize(
    "before",
    [
        "model: porch\nregions: {}  # of no one\nlake: here\n",
        "regions:  # of no one\n  '7': [0, 0, 1, 0.5]\n\n  # day\n  '8': [0, 0, 1, 1]\nlake: here",
        "lake: here  # regions: there\n",
        "regions:\n  '7': [0, 0, 1, 1]\n# a remark\n\n\n  '8': [0, 0, 1, 1]\nlake: here\n",
        "regions: {\n  'cam#1': [0, 0, 1, 1]\n}\nlake: here",
        "lake: here\r\nregions: {}\r\nmodel: porch\r\n",
        "",
    ],
)
def test_sections_are_written_and_other_lines_stay(tmp_path, before):
    file, kept = tmp_path / "porch.yaml", [n for n in ("model: porch", "lake: here") if n in before]
    file.write_text(before, newline="")
    for sections in (
        {"regions": {"#7 📷": [0.5, 0, 0.5, 1]}, "privacy_masks": {}},
        {"regions": {}},
    ):
        write_sections(file, tmp_path, sections)
        assert file.read_bytes().count(b"\n") - file.read_bytes().count(b"\r\n") == (
            0 if "\r" in before else len(file.read_text().splitlines())
        )
        content = yaml.safe_load(file.read_text())
        assert {key: content[key] for key in sections} == sections
        assert all(line in file.read_text() for line in kept)
        assert ("# of no one" in file.read_text()) == ("# of no one" in before)
    assert content["privacy_masks"] == {} and len(content) == 2 + len(kept)


def test_a_section_of_which_another_profile_has_more_is_named(tmp_path):
    (tmp_path / "base.yaml").write_text("regions: {'7': [0, 0, 1, 1]}\n")
    file = tmp_path / "porch.yaml"
    file.write_text("extends: base\n")
    with pytest.raises(UserError, match="extends a profile with regions: remove them there"):
        write_sections(file, tmp_path, {"regions": {}})
    assert file.read_text() == "extends: base\n"


@pytest.mark.parametrize(
    "text",
    [
        "regions: &all\n  '7': [0, 0, 1, 1]\nother: *all\n",
        "other: &one [0, 0, 1, 1]\nregions:\n  '7': *one\n",
        "model: porch\n...\n",
        "{model: porch}\n",
        "regions: {}\nregions: {'7': [0, 0, 1, 1]}\n",
    ],
)
def test_a_file_that_would_lose_something_stays_as_it_is(tmp_path, text):
    file = tmp_path / "porch.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="regions cannot be written without a loss; edit them"):
        write_sections(file, tmp_path, {"regions": {"8": [0, 0, 1, 0.5]}})
    assert file.read_text() == text

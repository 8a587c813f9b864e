"""Which steps of the real pipeline run after a change, by their real states and a real registry."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from pydantic import BaseModel
from small_registry import copied_store

from edge.inference.region import Region
from steps import export, main, train
from steps.ingestion.class_names import ClassName
from steps.ingestion.labelled import TAG
from steps.landing.arrivals import Arrivals, Limits
from steps.landing.listing import list_landing_zone
from steps.pipeline import cache_key as cache_key_module
from steps.pipeline import source_code
from steps.pipeline.cache_key import cache_key
from steps.pipeline.pipeline_parameters import parameters_of
from steps.registry.aliases import CHAMPION
from steps.release import keys as keys_module
from steps.settings.profile import PROJECT, Profile, Release, load_profile

ALL = ("ingest", "tune", "train", "register", "promote", "export")
FROM_TUNE, FROM_TRAIN, FROM_PROMOTE = ALL[1:], ALL[2:], ALL[4:]


@pytest.fixture(scope="module", autouse=True)
def registry(empty_store, tmp_path_factory) -> Iterator[None]:
    """A registry, which each test fills as the pipeline does."""
    with copied_store(empty_store, tmp_path_factory.mktemp("registry")):
        yield


@pytest.fixture(scope="module")
def profile(tmp_path_factory) -> Profile:
    local = load_profile("local").named("package")
    return local.model_copy(update={"lake": str(tmp_path_factory.mktemp("lake"))})


def land(folder: Path) -> Path:
    (folder / "first.jpg").write_bytes(b"1")
    return folder


@pytest.fixture
def landing(tmp_path) -> Path:
    """Images that landed."""
    return land(tmp_path)


@pytest.fixture(scope="module")
def landed(tmp_path_factory) -> Path:
    """Images that landed, and to which no more come."""
    return land(tmp_path_factory.mktemp("landed"))


@pytest.fixture(scope="module")
def before(landed, profile) -> dict[str, str]:
    """The key of each step before anything changes."""
    return keys(landed, profile)


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """A copy of the project's files."""
    copy = tmp_path_factory.mktemp("copied")
    for folder in ("steps", "edge"):
        shutil.copytree(
            PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "requirements.lock", copy)
    return copy


@pytest.fixture
def edit(copied, monkeypatch) -> Iterator[Callable[[str, Callable[[str], str]], None]]:
    """Edits a file of the copy, whose code the keys are made of, for the length of a test."""
    for module in (cache_key_module, source_code):
        monkeypatch.setattr(module, "PROJECT", copied)
    monkeypatch.setattr(cache_key_module, "LOCK", copied / "requirements.lock")
    before: dict[Path, str] = {}

    def change(file: str, by: Callable[[str], str]) -> None:
        assert (PROJECT / file).is_file()
        if (path := copied / file).exists():  # of the others no key is made
            before[path] = path.read_text(encoding="utf-8")
            path.write_text(by(before[path]), encoding="utf-8")

    yield change
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def keys(landing: Path, profile: Profile, **parameters) -> dict[str, str]:
    """The key of each step; steps are handed each other's keys in place of run IDs.

    A run of ingest is a real one that left other labelled images than those of other keys.
    """
    asked = main.Parameters(source=str(landing), **parameters)
    found: dict[str, str] = {}
    for step in main.PIPELINE:
        chosen = parameters_of(step, asked, found)
        inputs = {name: found[name] for name in step.parameters.input_names()}
        if "ingest" in inputs:
            tags = {TAG: found["ingest"]}
            inputs["ingest"] = MlflowClient().create_run("0", tags=tags).info.run_id
        found[step.name] = cache_key(step.key_parts(chosen, profile, inputs))
        if step.name == "promote":
            _promote(profile.model, found["promote"])
    return found


def _promote(model: str, key: str) -> None:
    """Let the champion be the version that a run of promote of this key promotes."""
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    promoted = client.search_model_versions(f"name = '{model}' and tag.key = '{key}'")
    version = (
        promoted[0]
        if promoted
        else client.create_model_version(model, "file:///model", tags={"key": key})
    )
    client.set_registered_model_alias(model, CHAMPION, version.version)


def runs(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    return tuple(step for step in ALL if before[step] != after[step])


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("README.md", ()),
        ("docs/search.md", ()),
        ("Makefile", ()),
        ("conda.yaml", ()),  # what it decides is in the lock
        ("profiles/databricks.yaml", ()),
        ("tests/steps/test_main.py", ()),
        ("benchmarks/ingest.py", ()),
        ("steps/main.py", ()),
        ("steps/device.py", ()),
        ("steps/pipeline/report.py", ()),  # how a report looks
        ("steps/pipeline/report.html.j2", ()),
        ("edge/cli/capture.py", ()),
        ("edge/VERSION", ()),
        ("edge/cameras/simulated.py", ()),
        ("edge/inference/prepare.py", FROM_TUNE),  # the cache is another
        ("edge/inference/scoring.py", ("export",)),
        ("edge/inference/image.py", ALL),
        ("steps/dataset/cache.py", FROM_TUNE),
        ("steps/dataset/cache_filling.py", FROM_TUNE),
        ("steps/tuning/search.py", FROM_TUNE),
        ("steps/tuning/trials.py", FROM_TUNE),
        ("steps/training/fit.py", FROM_TUNE),
        ("steps/training/launcher.py", FROM_TRAIN),
        ("steps/train.py", FROM_TRAIN),
        ("steps/evaluation/promotion_rules.py", FROM_PROMOTE),
        ("edge/inference/reference_images.py", ("export",)),
        ("steps/release/pyfunc_model.py", ("export",)),  # named, not imported
        ("steps/ingestion/image_metadata.py", ALL),
        ("steps/ingestion/stream.py", ALL),
        ("steps/pipeline/step.py", ALL),
        ("requirements.lock", ALL),
    ],
)
def test_an_edit_of_a_file(landed, profile, before, edit, file, expected):
    edit(file, lambda text: f"{text}edited = True\n")
    assert runs(before, keys(landed, profile)) == expected


def test_a_copy_of_the_project_has_the_same_keys(landed, profile, before, edit):
    assert runs(before, keys(landed, profile)) == ()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("steps/reports/train.py", '"By label"', '"For each label"'),  # a caption
        ("steps/pipeline/report.html.j2", "<h1>", "<h1 class='wide'>"),
        ("steps/training/fit.py", "\n    ", "\n    # why it is so\n    "),
        ("steps/training/fit.py", '"""', '"""Really: '),  # a docstring
        ("steps/train.py", 'description="', 'description="really, '),  # a parameter's help
        ("edge/inference/scoring.py", '"""', '"""Really: '),
        ("requirements.lock", "#", "# Really:"),
    ],
)
def test_a_remark_runs_nothing(landed, profile, before, edit, file, old, new):
    assert old in (PROJECT / file).read_text(encoding="utf-8")
    edit(file, lambda text: text.replace(old, new, 1))
    assert runs(before, keys(landed, profile)) == ()


@pytest.mark.parametrize(
    ("parameters", "first"),
    [
        ({"ingest_statistics": "sampled"}, "ingest"),
        ({"tune_trials": 9}, "tune"),
        ({"input_size": 96}, "tune"),
        ({"split_seed": 3}, "tune"),
        ({"test": "holdout"}, "tune"),
        ({"region": "0,0,0.5,1"}, "tune"),
        ({"train_epochs": 3}, "train"),
        ({"debug": True}, None),
        ({"until": "train"}, None),
        ({"force": "train"}, None),
    ],
)
def test_a_parameter(landed, profile, before, parameters, first):
    changed = runs(before, keys(landed, profile, **parameters))
    assert changed[:1] == ((first,) if first else ())


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (lambda folder: (folder / "second.jpg").write_bytes(b"2"), "ingest"),
        (lambda folder: (folder / "first.jpg").write_bytes(b"other"), "ingest"),
        (lambda folder: (folder / "notes.txt").write_text("no image"), None),
    ],
    ids=["a new image", "one that was rewritten", "no image"],
)
def test_the_landing_zone(landing, profile, change, first):
    before = keys(landing, profile)
    change(landing)
    assert runs(before, keys(landing, profile))[:1] == ((first,) if first else ())


@pytest.mark.parametrize(
    ("setting", "value", "first"),
    [
        ("lake", "/elsewhere/lake", "ingest"),
        ("cache", "/elsewhere/cache", None),  # where it is does not decide what is in it
        ("training", {"cache_gigabytes": 1}, None),
        ("training", {"processes": 3}, "train"),
        ("model", "shoes", "register"),
        ("regions", {"7": Region(0, 0, 0.5, 1)}, "tune"),
        ("privacy_masks", {"7": [Region(0, 0, 0.5, 1)]}, "ingest"),
        ("name", "farm", None),
    ],
)
def test_a_setting_of_the_profile(landed, profile, before, setting, value, first):
    if isinstance(section := getattr(profile, setting), BaseModel):
        value = section.model_copy(update=value)
    after = keys(landed, profile.model_copy(update={setting: value}))
    assert runs(before, after)[:1] == ((first,) if first else ())


def test_what_was_ingested_may_leave_the_landing_zone(landing, profile):
    (landing / "second.jpg").write_bytes(b"2")
    before = keys(landing, profile)
    zone = list_landing_zone(str(landing))
    Arrivals(profile, zone.source).record(zone.files, Limits(10, 10**6))
    assert runs(before, keys(landing, profile)) == ()
    (landing / "first.jpg").unlink()
    assert runs(before, keys(landing, profile)) == ()
    (landing / "third.jpg").write_bytes(b"3")
    assert runs(before, keys(landing, profile)) == ALL


def test_other_initial_weights_in_the_same_file_count(landed, profile, tmp_path):
    weights = tmp_path / "first.weights.h5"
    weights.write_bytes(b"1")
    before = keys(landed, profile, train_weights=str(weights))
    weights.write_bytes(b"2")
    assert runs(before, keys(landed, profile, train_weights=str(weights))) == FROM_TRAIN


def test_if_horovod_was_built_since_auto_is_another_launcher(landed, profile, monkeypatch):
    def built(answer: bool, **parameters) -> dict[str, str]:
        monkeypatch.setattr(train, "horovod_obstacle", lambda: None if answer else "none")
        return keys(landed, profile, **parameters)

    assert runs(built(False), built(True)) == FROM_TRAIN
    single = {"train_launcher": "single"}
    assert runs(built(False, **single), built(True, **single)) == ()


def test_another_release_key_exports_again(landed, profile, before, tmp_path):
    files = [tmp_path / name for name in ("a.pem", "b.pem")]
    for file in files:
        keys_module.main(["make", str(file)])
    first, second = (
        keys(landed, profile.model_copy(update={"release": Release(key_file=str(file))}))
        for file in files
    )
    assert runs(before, first) == runs(first, second) == ("export",)


@pytest.mark.parametrize(("names", "steps"), [({"0": "none"}, ("export",)), ({}, ())])
def test_names_of_labels_export_again(landed, profile, before, monkeypatch, names, steps):
    called = {label: ClassName(name, "#000000", "1") for label, name in names.items()}
    monkeypatch.setattr(export, "class_names", lambda profile: called)
    assert runs(before, keys(landed, profile)) == steps


def test_an_alias_that_was_moved_by_hand_exports_again(landing, profile):
    before = keys(landing, profile)
    moved = main.Parameters(source=str(landing))
    client = MlflowClient()
    other = client.create_model_version(profile.model, "file:///other").version
    client.set_registered_model_alias(profile.model, CHAMPION, other)
    export = main.PIPELINE[-1]
    chosen = parameters_of(export, moved, before)
    assert cache_key(export.key_parts(chosen, profile, {})) != before["export"]

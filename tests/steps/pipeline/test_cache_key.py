"""The cache key: what changes it, what does not, and which files a step is made of."""

import re

import pytest

from steps.pipeline import cache_key as cache_key_module
from steps.pipeline import source_code
from steps.pipeline.cache_key import cache_key, differences, key_parts
from steps.pipeline.source_code import sources
from steps.settings.profile import PROJECT

FILES = {
    "steps/__init__.py": "",
    "steps/bake.py": (
        '"""Bake."""\n'
        "import os, steps.oven.heat\n"
        "from steps.oven import timer as clock, TRAYS\n"
        "from steps.flour import (\n    sieve,\n)\n"
        "def bake():\n"
        "    from edge.taste import sour\n"
        "    if os.environ:\n"
        "        import steps.late\n"
    ),
    "steps/flour.py": "from steps import wheat\nfrom steps.bake import bake\n",
    "steps/wheat/__init__.py": (
        "from .field import wide\nfrom steps.pipeline.report import Report\n"
    ),
    "steps/wheat/field.py": "",
    "steps/oven/__init__.py": "TRAYS = 2\n",
    "steps/oven/heat.py": "import numpy\nPAGES = ['page.html.j2', 'second.j2', 'gone.txt']\n",
    "steps/oven/timer.py": "",
    "steps/oven/spare.py": "",
    "steps/oven/page.html.j2": "<p>{{ loaf }}</p>",
    "steps/oven/notes.txt": "",
    "steps/late.py": "",
    "steps/unused.py": "import steps.late\n",
    "steps/shop/page.html.j2": "",
    "steps/pipeline/__init__.py": "",
    "steps/pipeline/report.py": "import steps.unused\nPAGE = 'report.html.j2'\n",
    "steps/pipeline/report.html.j2": "",
    "edge/__init__.py": "",
    "edge/taste.py": "def sour(): pass\n",
    "edge/other.py": "",
    "numpy.py": "",
    "requirements.lock": "mlflow==3\n",
    "other.lock": "",
}
USED = {
    "steps/__init__.py",
    "steps/bake.py",
    "steps/flour.py",
    "steps/wheat/__init__.py",
    "steps/wheat/field.py",
    "steps/oven/__init__.py",
    "steps/oven/heat.py",
    "steps/oven/timer.py",
    "steps/oven/page.html.j2",
    "steps/late.py",
    "steps/pipeline/__init__.py",
    "edge/__init__.py",
    "edge/taste.py",
}
GIVEN = {
    "module": "steps.bake",
    "parameters": {"minutes": 40, "name": "rye"},
    "settings": {"model": "package"},
    "inputs": {"knead": "1" * 32},
    "state": "warm",
}


def key_of(given: dict) -> str:
    return cache_key(key_parts(**given))


@pytest.fixture
def bakery(tmp_path, monkeypatch):
    """A small project in place of this one."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for module in (cache_key_module, source_code):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(cache_key_module, "LOCK", tmp_path / "requirements.lock")
    return tmp_path


def test_a_key_is_32_hexadecimal_digits_and_the_same_each_time(bakery):
    key = key_of(GIVEN)
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert key_of(GIVEN) == key


def test_a_module_is_made_of_all_that_it_imports(bakery):
    found = sources("steps.bake")
    assert {path.relative_to(bakery).as_posix() for path in found} == USED
    assert found == sorted(found)


@pytest.mark.parametrize("name", sorted(USED))
def test_an_edit_of_a_used_file_changes_the_key(bakery, name):
    before = key_of(GIVEN)
    with (bakery / name).open("a", encoding="utf-8") as file:
        file.write("edited = True\n")
    assert key_of(GIVEN) != before


@pytest.mark.parametrize("name", sorted(name for name in USED if name.endswith(".py")))
def test_a_remark_in_a_used_file_does_not(bakery, name):
    before = key_of(GIVEN)
    text = (bakery / name).read_text(encoding="utf-8")
    (bakery / name).write_text(f"# why\n\n{text}\n'''said of it'''\n", encoding="utf-8")
    assert key_of(GIVEN) == before


@pytest.mark.parametrize("name", sorted(FILES.keys() - USED - {"requirements.lock"}))
def test_an_edit_of_another_file_does_not(bakery, name):
    before = key_of(GIVEN)
    (bakery / name).write_text("edited = True\n", encoding="utf-8")
    assert key_of(GIVEN) == before


def test_another_place_of_the_project_does_not(bakery, monkeypatch):
    before = key_of(GIVEN)
    moved = bakery.with_name("elsewhere")
    bakery.rename(moved)
    for module in (cache_key_module, source_code):
        monkeypatch.setattr(module, "PROJECT", moved)
    monkeypatch.setattr(cache_key_module, "LOCK", moved / "requirements.lock")
    assert key_of(GIVEN) == before


@pytest.mark.parametrize("name", ["steps/oven/timer.py", "steps/oven/page.html.j2"])
def test_another_name_of_a_used_file_changes_the_key(bakery, name):
    before = key_of(GIVEN)
    (bakery / name).rename((bakery / name).with_name("renamed.j2"))
    assert key_of(GIVEN) != before


def test_a_file_beside_a_module_that_names_it_changes_the_key(bakery):
    before = key_of(GIVEN)
    (bakery / "steps" / "oven" / "second.j2").write_text("")
    assert key_of(GIVEN) != before


def test_another_lock_changes_the_key(bakery):
    before = key_of(GIVEN)
    (bakery / "requirements.lock").write_text("# by hand\nmlflow==3\n")
    assert key_of(GIVEN) == before
    (bakery / "requirements.lock").write_text("mlflow==4\n")
    assert key_of(GIVEN) != before


def test_with_the_tensorflow_of_a_gpu_its_lock_counts_too(bakery, monkeypatch, tmp_path):
    before = key_of(GIVEN)
    monkeypatch.setattr(cache_key_module, "GPU_LOCK", bakery / "requirements-gpu.lock")
    (bakery / "requirements-gpu.lock").write_text("tensorflow==2\n")
    assert key_of(GIVEN) == before, "tensorflow-cpu is installed here"
    installed = tmp_path / "packages" / "tensorflow-2.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Name: tensorflow\nVersion: 2\n")
    monkeypatch.syspath_prepend(installed.parent)
    on_gpu = key_of(GIVEN)
    (bakery / "requirements-gpu.lock").write_text("tensorflow==3\n")
    assert len({before, on_gpu, key_of(GIVEN)}) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"module": "steps.unused"},
        {"parameters": {"minutes": 41, "name": "rye"}},
        {"parameters": {"minutes": "40", "name": "rye"}},
        {"parameters": {"minutes": 40}},
        {"parameters": {"minutes": 40, "name": None}},
        {"settings": {"model": "shoes"}},
        {"settings": {}},
        {"inputs": {"knead": "2" * 32}},
        {"inputs": {"rest": "1" * 32}},
        {"inputs": {}},
        {"state": "cold"},
        {"settings": GIVEN["parameters"], "parameters": GIVEN["settings"]},
    ],
)
def test_what_a_step_is_given_changes_the_key(bakery, changed):
    assert key_of(GIVEN | changed) != key_of(GIVEN)


def test_the_order_of_parameters_and_inputs_does_not(bakery):
    given = GIVEN | {"inputs": {"a": "1", "b": "2"}}
    turned = given | {
        "parameters": dict(reversed(GIVEN["parameters"].items())),
        "inputs": {"b": "2", "a": "1"},
    }
    assert key_of(turned) == key_of(given)


@pytest.mark.parametrize(
    ("step", "used", "unused"),
    [
        ("ingest", ["ingestion/stream.py", "ingestion/counts.py"], "reports/ingest.py"),
        ("train", ["train.py", "training/networks.py", "lake/session.py"], "tuning/search.py"),
        ("register", ["training/networks.py", "../edge/inference/prepare.py"], "tuning/search.py"),
        ("export", ["release/onnx_graph.py", "release/pyfunc_model.py",
                    "../edge/inference/record.py"], "tuning/search.py"),
    ],
)  # fmt: skip
def test_a_step_of_the_project_is_made_of_what_it_uses(step, used, unused):
    found = set(sources(f"steps.{step}"))
    for name in ["errors.py", "settings/parameters.py", "pipeline/step.py", *used]:
        assert (PROJECT / "steps" / name).resolve() in found
    assert (PROJECT / "steps" / unused).is_file()
    assert PROJECT / "steps" / unused not in found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"parameters": {"minutes": 50, "name": "rye"}}, "parameter minutes is 50 and was 40"),
        ({"parameters": {"name": "rye"}}, "parameter minutes is None and was 40"),
        ({"settings": {"model": "shoes"}}, "setting model is shoes and was package"),
        ({"inputs": {"knead": "2" * 32}}, "knead is another run"),
        ({"state": "cold"}, "what it reads changed"),
        ({"parameters": {}, "settings": {}, "state": "cold"},
         "parameter minutes is None and was 40, parameter name is None and was rye, "
         "setting model is None and was package and 1 more"),
        ({"parameters": {"minutes": "", "name": []}},
         "parameter minutes is empty and was 40, parameter name is empty and was rye"),
        ({"parameters": {"minutes": 0, "name": False}},
         "parameter minutes is 0 and was 40, parameter name is False and was rye"),
    ],
)  # fmt: skip
def test_differences_are_reported_in_words(bakery, changed, said):
    assert differences(key_parts(**GIVEN), key_parts(**GIVEN | changed)) == said


SECTION = {"training": {"launcher": "auto", "processes": 2, "spark": {"cores": 1}}}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (SECTION, {"training": SECTION["training"] | {"processes": 4}},
         "setting training.processes is 4 and was 2"),
        (SECTION, {"training": SECTION["training"] | {"spark": {"cores": 2}}},
         "setting training.spark.cores is 2 and was 1"),
        (SECTION, {"training": SECTION["training"] | {"spark": {}}},
         "setting training.spark.cores is None and was 1"),
        ({"bounds": {}}, {"bounds": {"loss": {"min": 1, "max": None}}},
         "setting bounds.loss.min is 1 and was None"),
        ({"bounds": None}, {"bounds": {}}, "setting bounds is empty and was None"),
        ({"training": "4f0c"}, SECTION,
         f"setting training is {SECTION['training']} and was 4f0c"),
        ({}, {"launcher": None}, ""),
    ],
)  # fmt: skip
def test_of_a_section_the_key_that_differs_is_reported(old, new, said):
    assert differences({"setting": old}, {"setting": new}) == said


def test_files_that_changed_came_and_went_are_reported(bakery):
    before = key_parts(**GIVEN)
    (bakery / "steps" / "oven" / "second.j2").write_text("")
    (bakery / "steps" / "late.py").write_text("changed = True\n")
    (bakery / "steps" / "wheat" / "field.py").unlink()
    assert differences(before, key_parts(**GIVEN)) == (
        "steps/late.py changed, steps/oven/second.j2 is new, steps/wheat/field.py is gone"
    )

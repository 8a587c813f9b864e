"""The examples of the docs are valid: profiles, settings of a device, a step of one's own."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from doc_lines import TOP

from edge.agent.settings import Settings
from steps.pipeline.step import Step
from steps.settings.profile import load_profile


def _blocks(page: str, language: str) -> list[str]:
    text = (TOP / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(("page", "model"), [("label-images.md", "shoes"), ("nightly.md", "")])
def test_a_profile_can_be_loaded(page, model, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    (block,) = _blocks(page, "yaml")
    path = tmp_path / "example.yaml"
    path.write_text(block)
    assert load_profile(str(path)).model == model


@pytest.mark.parametrize("page", ["device.md", "laptop-to-pi.md"])
def test_the_settings_of_a_device_can_be_read(page, tmp_path):
    (block,) = _blocks(page, "toml")
    path = tmp_path / "agent.toml"
    path.write_text(block)
    settings = Settings.read(path)
    assert settings.device == "porch-1"
    assert settings.model is not None and settings.model.name.endswith("-onnx")


def test_a_step_of_ones_own_is_a_step():
    (code,) = (block for block in _blocks("extend.md", "python") if "STEP" in block)
    module: dict[str, object] = {"__name__": "steps.count"}
    exec(compile(code, "docs/extend.md", "exec"), module)
    step = module["STEP"]
    assert isinstance(step, Step) and step.parameters.input_names() == ["ingest"]
    line = yaml.safe_load(_blocks("extend.md", "yaml")[-1])
    assert line == {step.name: {"command": f"python -m steps.{step.name}"}}


def test_what_the_examples_import_is_there():
    imports = [
        (page.name, module, name.strip())
        for page in (TOP / "docs").glob("*.md")
        for block in _blocks(page.name, "python")
        for module, names in re.findall(r"^from ((?:steps|edge)\S*) import (.+)$", block, re.M)
        for name in names.split(",")
    ]
    assert len(imports) > 8
    missing = [each for each in imports if not hasattr(import_module(each[1]), each[2])]
    assert not missing


def test_what_is_to_be_changed_for_ones_own_is_there():
    """Where docs/extend.md says that a line goes."""
    for file, name in [
        ("steps/training/networks.py", "NETWORKS"),
        ("steps/evaluation/metrics.py", "def metrics_of"),
        ("steps/ingestion/tables.py", "METADATA = "),
        ("steps/ingestion/image_metadata.py", "def describe"),
        ("steps/main.py", "PIPELINE = "),
        ("edge/inference/image.py", "FORMATS = "),
        ("edge/cameras/kinds.py", "CAMERAS = "),
    ]:
        assert file in (TOP / "docs/extend.md").read_text(), file
        assert name in Path(TOP, file).read_text(), f"{file} has no {name}"


def test_figures_of_the_readme_are_measured():
    """Accuracies, which a reader takes for a promise, stand in docs/measured.md too."""
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    figures = re.findall(r"\b0\.\d{3}\b", readme[readme.index("How good is it?") :])
    measured = (TOP / "docs/measured.md").read_text(encoding="utf-8")
    assert figures and all(figure in measured for figure in figures)

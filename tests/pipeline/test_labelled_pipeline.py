"""From a device's frames without labels to a device that scores: labelled over the page's HTTP."""

import hashlib
import re
import subprocess
import uuid
from pathlib import Path

import pytest
import requests

from steps.settings.profile import PROJECT

pytestmark = pytest.mark.slow

FRAMES = 120
QUICK = {"network": "compact", "input_size": 64, "train_epochs": 3, "train_launcher": "single"}
ADDRESS = re.compile(r"label the images at +(http://\S+)")


@pytest.fixture(scope="module")
def loop(tmp_path_factory, workshop_factory):
    """Everything that a user types, and no file that a user writes."""
    workshop = workshop_factory(tmp_path_factory.mktemp("loop"), min_accuracy=0.0)
    drawn, landing = workshop.home / "drawn", workshop.home / "landing"
    workshop.capture(drawn, FRAMES)
    landing.mkdir()
    truth = {}
    for image in sorted(drawn.iterdir()):  # as a camera names them that knows no label
        name, _, label = image.stem.rpartition("_")
        truth[hashlib.sha256(image.read_bytes()).hexdigest()] = label
        image.rename(landing / f"{name}.jpg")
    assert workshop.step("ingest", source=landing).returncode == 0
    labelled = _label(workshop, landing, truth)
    planned = workshop.step("main", source=landing, dry_run="true").stderr
    assert workshop.step("ingest", source=landing).returncode == 0
    from_train = {"from": "train", **QUICK}  # without a search
    assert workshop.step("main", source=landing, **from_train).returncode == 0
    scored = workshop.step("device", models=workshop.home / "device")
    assert scored.returncode == 0
    return labelled, planned, scored.stdout


def _label(workshop, landing: Path, truth: dict[str, str]) -> str:
    """Label what the page would show next until there is no more; what the step printed."""
    log = workshop.home / "label.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            workshop.step_command("label", source=landing, port=0, labeller="ann"),
            cwd=PROJECT,
            env=workshop.environment(),
            stderr=output,
            stdout=output,
        )
    try:
        while not (found := ADDRESS.search(log.read_text())):
            assert process.poll() is None, log.read_text()
        page = found[1]
        while True:
            answer = requests.get(f"{page}next", timeout=30).json()
            shown = [image["sha256"] for image in answer["images"]]
            if not shown:
                break
            presses = [
                {"id": uuid.uuid4().hex, "action": uuid.uuid4().hex, "sha256": sha256}
                | {"label": truth[sha256], "how": "key"}
                for sha256 in shown
            ]
            sent = requests.post(f"{page}labels", json={"labels": presses}, timeout=30)
            assert sent.ok, sent.text
        names = {"0": "no package", "1": "package"}
        assert requests.post(f"{page}names", json=names, timeout=120).ok
        assert requests.post(f"{page}done", json={}, timeout=30).ok
        assert process.wait(timeout=240) == 0
    finally:
        process.kill()
    return log.read_text()


def test_the_labels_of_the_page_become_one_version_and_run_the_pipeline(loop):
    labelled, planned, _ = loop
    assert f"{FRAMES} labels of ann added; 0 of {FRAMES} images have none" in labelled
    assert f"labels changed ({FRAMES} added)" in planned


def test_the_device_scores_with_the_names_of_the_labels(loop):
    _, _, scored = loop
    rows = [line for line in scored.splitlines() if line.startswith("2026-07-27T")]
    assert len(rows) == 10
    assert all(re.search(r"  (0 \(no package\)|1 \(package\)) +[01]\.\d{4} ", row) for row in rows)

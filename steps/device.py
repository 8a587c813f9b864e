"""Device: do here what a Raspberry Pi does: pull the released model from the registry, and score.

The edge agent runs in its own environment, without TensorFlow, Spark and MLflow.
"""

import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from edge.protocol.release import RELEASE_TAG
from steps.dataset.cache_filling import find_or_fill
from steps.dataset.cache_reader import read_row_groups
from steps.dataset.split import TEST
from steps.errors import UserError
from steps.lake.session import spark_session
from steps.landing.place import display, normalize, read
from steps.pipeline.model_names import released_name
from steps.pipeline.outputs import DeviceOutputs, Selection
from steps.pipeline.step import Step, StepRun
from steps.registry.aliases import CHAMPION, require_version
from steps.registry.local_server import tracking_server
from steps.registry.versions import read_training, source_of
from steps.release.keys import public_keys
from steps.settings.parameters import Alias, StepParameters
from steps.settings.profile import PROJECT, data_home
from steps.settings.validation_errors import did_you_mean

EDGE_PYTHON = PROJECT / ".venv-edge" / "bin" / "python"
DRAWN = "data/landing"
"""The source into which ``make run`` draws the simulated camera's images."""

CAMERAS = ("simulated", "test-set")
FOLDER = "folder:"

logger = logging.getLogger("steps")


def _camera(name: str) -> str:
    """Return the name of a camera that this step has."""
    if name in CAMERAS or (name.startswith(FOLDER) and name != FOLDER):
        return name
    kind = name.partition(":")[0]
    raise ValueError(
        f"{name!r} is not a camera; {did_you_mean(kind, [*CAMERAS, FOLDER])}"
        f"pass {', '.join(CAMERAS)} or {FOLDER}PATH"
    )


Camera = Annotated[str, AfterValidator(_camera)]


class Parameters(StepParameters):
    """Pull the released model by alias as a device does, and score new frames with it."""

    alias: Alias = Field(CHAMPION, description="alias that the device follows")
    frames: int = Field(10, ge=1, description="number of frames to score")
    camera: Camera = Field(
        "simulated",
        description="simulated; test-set: images of the test split of the model's training; or "
        "folder:PATH: the images in a folder, by name",
    )
    seed: int = Field(1, ge=0, description="of the simulated camera, or of the test images")
    models: str = Field("data/device", description="folder for the pulled models")


def device(run: StepRun, parameters: Parameters) -> DeviceOutputs:
    """Serve the registry if it is no server yet, pull the model, score, show the table."""
    from steps.reports.device import fill_report

    if not EDGE_PYTHON.exists():
        raise UserError("the device's environment .venv-edge is missing; run: make setup")
    name = released_name(run.profile.model)
    version = require_version(name, parameters.alias, made_by="export")
    selection = read_training(version).selection
    models = data_home() / parameters.models
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        keys = public_keys(run.profile.release.key_file)
        (folder / "keys").write_text("\n".join(keys))
        with tracking_server() as server:
            _edge(
                "pull",
                *("--model", name, "--alias", parameters.alias, "--into", str(models)),
                *(("--keys", str(folder / "keys")) if keys else ("--unsigned",)),
                MLFLOW_TRACKING_URI=server,  # not an argument, which every local user could read
            )
        _edge(
            "score",
            *("--models", str(models / name), "--count", str(parameters.frames)),
            *_camera_arguments(run, parameters, selection, folder),
            *("--json", str(folder / "rows.json")),
        )
        rows = json.loads((folder / "rows.json").read_text())
    _say_what_is_next(run, parameters.camera, selection.source)
    model, number = source_of(version)
    release = json.loads(version.tags[RELEASE_TAG])["release"]
    line = f"{len(rows)} frames scored with {model} {number}, release {release}"
    outputs = DeviceOutputs(line=line, model=model, model_version=number, frames=len(rows))
    fill_report(run.report, outputs, rows)
    run.report.next_command = "make ui"
    return outputs


def _say_what_is_next(run: StepRun, camera: str, source: str) -> None:
    """Print how to go on, and warn if the frames are not of what the model was trained on."""
    command = run.commands.rerun(camera="folder:<folder of new images>")
    if source == normalize(DRAWN):
        command = "make run SOURCE=<folder or URI with your own images>"
    elif camera == "simulated":
        logger.warning(
            "the simulated camera draws a porch, and the model was trained on %s: these answers "
            "say nothing of it; run: %s",
            display(source),
            run.commands.rerun(camera="test-set"),
        )
    print(f"\nNext:\n  make ui\n  {command}", flush=True)  # noqa: T201 - ends the README's first command


def _edge(*arguments: str, **environment: str) -> None:
    """Run a command of the agent; its output goes to the terminal, its error is this step's."""
    done = subprocess.run(
        [str(EDGE_PYTHON), "-m", "edge", *arguments],
        cwd=PROJECT,
        env=os.environ | environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"edge {arguments[0]} failed"]
        raise UserError(lines[-1])


def _camera_arguments(
    run: StepRun, parameters: Parameters, selection: Selection, folder: Path
) -> Sequence[str]:
    """Return the camera; for test-set, write some test images of the training, drawn by the seed.

    They are of the device that took the first one drawn: a device takes its own region of them.
    """
    if parameters.camera == "simulated":
        return ("--camera", "simulated", "--seed", str(parameters.seed), "--device", "1")
    if parameters.camera != "test-set":
        images_of_user = Path(parameters.camera.partition(":")[2]).absolute()
        return ("--camera", f"folder:{images_of_user}")
    cache = find_or_fill(selection, run.profile, lambda: spark_session(run.profile, "device"))
    known: list[tuple[str, int, str | None]] = []
    for group in read_row_groups(cache, TEST, ["path", "label", "device_id"]):
        known += zip(group.path, group.label, group.device_id, strict=True)
    drawn = np.random.default_rng(parameters.seed).permutation(len(known))
    device = known[drawn[0]][2]
    chosen = [index for index in drawn if known[index][2] == device][: parameters.frames]
    images, truth = folder / "test-set", {}
    images.mkdir()
    for number, (path, label, _) in enumerate(sorted(known[index] for index in chosen)):
        file = images / path.rpartition("/")[2]
        if file.exists():  # two folders may have files of the same name
            file = file.with_name(f"{number}-{file.name}")
        try:
            file.write_bytes(read(path))
        except FileNotFoundError as error:
            raise UserError(f"{path} no longer exists; pass -P camera=simulated") from error
        truth[file.name] = cache.labels[label]
    (folder / "truth.json").write_text(json.dumps(truth))
    arguments = ("--camera", f"folder:{images}", "--truth", str(folder / "truth.json"))
    return (*arguments, "--device", device or "")


STEP = Step.of(device, settings=("model",))

if __name__ == "__main__":
    STEP.main()

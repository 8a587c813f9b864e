"""Trainings that were none: networks whose answers are known, with the run and the cache that a
training leaves, so that what comes after it runs without Spark."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import mlflow
import numpy as np
import yaml
from small_cache import bright_or_not, write_cache

from steps.dataset.cache import cache_name
from steps.pipeline.outputs import Selection, TrainOutputs
from steps.settings.profile import PROJECT, Profile, load_profile

SIZE = (32, 32)
GROUPS = {"train": [12] * 4, "validation": [10], "test": [20, 20, 20]}
SELECTION = Selection(
    table="file:/lake/images",
    version=3,
    source="file:/landing",
    input_size=SIZE,
    block_minutes=60,
    guard_minutes=0,
    split_seed=6,  # by which the images of GROUPS["test"] are indeed in the test split
)


def light_meter(rows: int = 32, turned: bool = False, seed: int = 0):
    """Sees whether anything bright is in the upper rows: in all 32, it is always right.

    Args:
        rows: how many it sees.
        turned: says the contrary.
        seed: a little noise in its weights, which changes no answer.
    """
    import keras

    pixels = keras.Input((*SIZE, 3), dtype="uint8", name="pixels")
    x = keras.ops.cast(pixels, "float32")
    x = keras.layers.Cropping2D(((0, SIZE[0] - rows), (0, 0)))(x)
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    dense = keras.layers.Dense(2, activation="softmax", name="probabilities")
    model = keras.Model(pixels, dense(x))
    sign = -1 if turned else 1
    weights = np.tile([-2.0, 2.0], (3, 1)) * sign
    noise = np.random.default_rng(seed).normal(0, 0.01, weights.shape)
    dense.set_weights([weights + noise, np.array([4.0, -4.0]) * sign])
    return model


def write_profile(home: Path, **promotion) -> Path:
    """The local profile, its places below a folder."""
    content = yaml.safe_load((PROJECT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    content |= {"lake": str(home / "lake"), "cache": str(home / "cache")}
    content["promotion"] |= promotion
    path = home / "test.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def fill_cache(profile: Profile, selection: Selection = SELECTION, groups=GROUPS) -> None:
    """The selection's cache: images with and without a bright square."""
    folder = Path(profile.cache, cache_name(selection))
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True)
        cache = write_cache(
            folder / "attempt", groups, SIZE, labels=("dark", "bright"), draw=bright_or_not
        )
        (folder / "manifest.json").write_text(json.dumps(asdict(cache)))


def trained(profile_path: Path, model, selection: Selection = SELECTION, **outputs) -> str:
    """A finished run of train with a network; its ID."""
    fill_cache(load_profile(str(profile_path)), selection)
    with mlflow.start_run(tags={"step": "train", "input.ingest": "1" * 32}) as run:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder, "model.keras"))
            mlflow.log_artifact(str(Path(folder, "model.keras")))
        left = {
            "selection": selection,
            "labels": ["dark", "bright"],
            "network": "light meter",
            "launcher": "single",
            "processes": 1,
            "epochs": 1,
            "metrics": {"accuracy": 1.0},
        }
        mlflow.log_text(TrainOutputs(**left | outputs).model_dump_json(), "outputs.json")
    return run.info.run_id


def run_of(step, profile_path: Path, capsys, *arguments: str) -> str:
    """Run a step as the command line does; its run's ID."""
    step.STEP.main(["--profile", str(profile_path), *arguments])
    return capsys.readouterr().out.strip().splitlines()[-1].removeprefix("run_id=")

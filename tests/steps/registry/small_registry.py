"""Runs of train without training: networks with known predictions, and the run and the cache that
training leaves, so that later steps run without Spark."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import mlflow
import numpy as np
import pytest
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


@contextmanager
def copied_store(database: Path, home: Path) -> Iterator[str]:
    """Use a copy of a SQLite store; what is logged goes to the artifacts of the original."""
    shutil.copy(database, home / "mlflow.db")
    uri = f"sqlite:///{home}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(variable, raising=False)
        mlflow.set_tracking_uri(uri)
        yield uri
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(None)


def light_meter(rows: int = 32, seed: int = 0):
    """Make a network that detects a bright pixel in the upper rows; with all 32 it is always right.

    Args:
        rows: how many rows it sees.
        seed: a little noise in its weights, which changes no prediction.
    """
    import keras

    pixels = keras.Input((*SIZE, 3), dtype="uint8", name="pixels")
    x = keras.ops.cast(pixels, "float32")
    x = keras.layers.Cropping2D(((0, SIZE[0] - rows), (0, 0)))(x)
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    dense = keras.layers.Dense(2, activation="softmax", name="probabilities")
    model = keras.Model(pixels, dense(x))
    weights = np.tile([-2.0, 2.0], (3, 1))
    noise = np.random.default_rng(seed).normal(0, 0.01, weights.shape)
    dense.set_weights([weights + noise, np.array([4.0, -4.0])])
    return model


def write_profile(home: Path, **promotion) -> Path:
    """Write a copy of the local profile with its data below a folder."""
    content = yaml.safe_load((PROJECT / "profiles" / "local.yaml").read_text(encoding="utf-8"))
    content |= {"lake": str(home / "lake"), "cache": str(home / "cache")}
    content["promotion"] |= promotion
    content["release"] = {"key_file": str(home / "release.pem")}
    path = home / "test.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def fill_cache(profile: Profile, selection: Selection = SELECTION, groups=GROUPS) -> None:
    """Write the selection's cache: images with and without a bright square."""
    folder = Path(profile.cache, cache_name(selection))
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True)
        cache = write_cache(
            folder / "attempt", groups, SIZE, labels=("dark", "bright"), draw=bright_or_not
        )
        (folder / "manifest.json").write_text(json.dumps(asdict(cache)))


def trained(profile_path: Path, model, selection: Selection = SELECTION, **outputs) -> str:
    """Log a finished run of train with a network; return its ID."""
    fill_cache(load_profile(str(profile_path)), selection)
    with mlflow.start_run(tags={"step": "train", "input.ingest": "1" * 32}) as run:
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder, "model.keras"))
            mlflow.log_artifact(str(Path(folder, "model.keras")))
        defaults = {
            "selection": selection,
            "labels": ["dark", "bright"],
            "network": "light meter",
            "launcher": "single",
            "processes": 1,
            "epochs": 1,
            "metrics": {"accuracy": 1.0},
            "test_images": sum(GROUPS["test"]),
        }
        mlflow.log_text(TrainOutputs(**defaults | outputs).model_dump_json(), "outputs.json")
    return run.info.run_id


def run_step(step: ModuleType, profile_path: Path, *arguments: str) -> str:
    """Run a step as the command line does; return its run's ID."""
    step.STEP.main(["--profile", str(profile_path), *arguments])
    return mlflow.last_active_run().info.run_id

"""A network and its export, and registries, made once for all tests of what is released."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_registry import copied_store, fill_cache, light_meter, run_step, trained, write_profile

from edge.inference.record import MODEL_FILE, ModelRecord, sha256_of
from edge.inference.scoring import PREPARE_VERSION
from steps import export, promote, register
from steps.release.onnx_graph import to_onnx
from steps.settings.profile import load_profile
from steps.training.networks import build

SIZE = (32, 32)


def network(seed: int):
    """The compact network with weights of their own, its batch normalisation moved from 0 and 1."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(seed)
    model = build("compact", SIZE, 2, seed=seed)
    images = np.random.default_rng(seed).integers(0, 256, (16, *SIZE, 3), np.uint8)
    for _ in range(3):
        model(images, training=True)
    return model


@pytest.fixture(scope="session")
def keras_model():
    return network(seed=0)


@pytest.fixture(scope="session")
def other_model():
    """The same network with other weights."""
    return network(seed=1)


def write_export(model, folder: Path) -> Path:
    """The model's graph and its record, as a device has them."""
    (folder / MODEL_FILE).write_bytes(to_onnx(model))
    ModelRecord(
        labels=["dark", "bright"],
        input_size=SIZE,
        prepare_version=PREPARE_VERSION,
        files={MODEL_FILE: sha256_of(folder / MODEL_FILE)},
    ).write(folder)
    return folder


@pytest.fixture(scope="session")
def exported(keras_model, tmp_path_factory) -> Path:
    return write_export(keras_model, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def other_exported(other_model, tmp_path_factory) -> Path:
    return write_export(other_model, tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="session")
def challenger_store(empty_store, tmp_path_factory) -> Path:
    """The database of a store in which version 1 is the challenger."""
    home = tmp_path_factory.mktemp("challenger")
    with copied_store(empty_store, home):
        profile = write_profile(home)
        trained(profile, light_meter())
        run_step(register, profile)
    return home / "mlflow.db"


@pytest.fixture(scope="session")
def champion_store(challenger_store, tmp_path_factory) -> Path:
    """The database of a store in which version 1 is challenger, champion and released."""
    home = tmp_path_factory.mktemp("champion")
    with copied_store(challenger_store, home):
        profile = write_profile(home)
        fill_cache(load_profile(str(profile)))
        run_step(promote, profile)
        run_step(export, profile)
    return home / "mlflow.db"


@pytest.fixture
def challenger(challenger_store, tmp_path) -> Iterator[Path]:
    """The profile of a registry of the test's own, in which version 1 is the challenger."""
    yield from _registry(challenger_store, tmp_path)


@pytest.fixture
def champion(champion_store, tmp_path) -> Iterator[Path]:
    """The profile of a registry of the test's own, in which version 1 is champion and released."""
    yield from _registry(champion_store, tmp_path)


def _registry(database: Path, home: Path) -> Iterator[Path]:
    with copied_store(database, home):
        profile = write_profile(home)
        fill_cache(load_profile(str(profile)))
        yield profile

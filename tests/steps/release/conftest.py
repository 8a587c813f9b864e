"""Registries, made once a worker for all tests of what is released."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_registry import copied_store, fill_cache, light_meter, run_step, trained, write_profile

from steps import export, promote, register
from steps.settings.profile import load_profile


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

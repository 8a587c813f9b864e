"""One Spark session, a tracking store for each test, and caches, all in temporary folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from small_cache import bright_or_not, write_cache
from small_network import network, write_export
from small_registry import copied_store

from steps.dataset.cache import Cache
from steps.lake.session import spark_session
from steps.settings.profile import Profile, load_profile


@dataclass(frozen=True)
class Lake:
    """The session that all tests share."""

    spark: SparkSession
    profile: Profile

    def fresh(self, home: Path) -> Profile:
        """The profile with a lake and a cache of their own."""
        return self.profile.model_copy(
            update={"lake": str(home / "lake"), "cache": str(home / "cache")}
        )


@pytest.fixture(scope="session")
def lake(tmp_path_factory) -> Iterator[Lake]:
    home = tmp_path_factory.mktemp("spark")
    local = load_profile("local")
    config = {"spark.driver.memory": "1g", "spark.sql.warehouse.dir": str(home / "warehouse")}
    profile = local.model_copy(
        update={
            "lake": str(home / "lake"),
            "cache": str(home / "cache"),
            "spark": local.spark.model_copy(update={"master": "local[2]", "config": config}),
        }
    )
    with spark_session(profile, "tests") as spark:
        yield Lake(spark, profile)


@pytest.fixture
def store(empty_store, tmp_path) -> Iterator[str]:
    """The URI of an empty store, which MLflow uses for the length of a test."""
    with copied_store(empty_store, tmp_path) as uri:
        yield uri


@pytest.fixture(scope="session")
def bright_cache(tmp_path_factory) -> Cache:
    """Images of 32 pixels with and without a bright square."""
    groups = {"train": [12] * 7 + [11], "validation": [10, 10], "test": [9, 8, 8]}
    folder = tmp_path_factory.mktemp("bright") / "cache"
    return write_cache(folder, groups, size=(32, 32), draw=bright_or_not)


@pytest.fixture(scope="session")
def keras_model():
    return network(seed=0)


@pytest.fixture(scope="session")
def other_model():
    """The same network with other weights."""
    return network(seed=1)


@pytest.fixture(scope="session")
def exported(keras_model, tmp_path_factory) -> Path:
    return write_export(keras_model, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def other_exported(other_model, tmp_path_factory) -> Path:
    return write_export(other_model, tmp_path_factory.mktemp("other"))

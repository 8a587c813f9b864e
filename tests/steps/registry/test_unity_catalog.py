"""What Unity Catalog asks for, as far as MLflow's own client of it tells; it is not reached."""

from types import SimpleNamespace

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersionSearch
from mlflow.store._unity_catalog.registry.rest_store import UcModelRegistryStore
from small_registry import copied_store, fill_cache, light_meter, run_step, trained, write_profile

from steps import export, promote, register
from steps.registry.aliases import history
from steps.registry.versions import versions_of
from steps.release.freshness import renew_freshness
from steps.release.keys import signing_keys
from steps.settings.profile import load_profile

NAME = "main.vision.package"


def _without_tags(found) -> ModelVersionSearch:
    """A version as Unity Catalog's search gives it."""
    return ModelVersionSearch(found.name, found.version, found.creation_timestamp)


@pytest.mark.slow
def test_a_name_of_three_parts_is_registered_promoted_and_released(
    empty_store, tmp_path, monkeypatch
):
    with copied_store(empty_store, tmp_path):
        profile = write_profile(tmp_path)
        trained(profile, light_meter())
        fill_cache(load_profile(str(profile)))
        for step in (register, promote, export):
            run_step(step, profile, "--model", NAME)
        for name in (NAME, f"{NAME}-onnx"):
            folder = mlflow.artifacts.download_artifacts(f"models:/{name}@champion")
            UcModelRegistryStore._validate_model_signature(SimpleNamespace(), folder)
            assert len(history(name, "champion")) == 1

        search = MlflowClient.search_model_versions
        monkeypatch.setattr(
            MlflowClient,
            "search_model_versions",
            lambda self, filter_string: [*map(_without_tags, search(self, filter_string))],
        )
        (version,) = versions_of(f"{NAME}-onnx")
        assert version.tags["keras_model"] == NAME
        keys = signing_keys(load_profile(str(profile)).release.key_file)
        assert renew_freshness(f"{NAME}-onnx", lambda: keys) == ["champion"]

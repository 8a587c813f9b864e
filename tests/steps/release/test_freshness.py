"""Freshness statements in the tags of released versions, as devices read them."""

from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient

from edge.protocol.freshness import Freshness
from steps.release.freshness import renew_freshness
from steps.release.keys import public_key
from steps.release.statement import release_version

MODEL, KEY = "package-onnx", Ed25519PrivateKey.generate()


@pytest.fixture
def registry(store, tmp_path) -> MlflowClient:
    """Version 1 is the champion, version 2 the canary, and version 3 was never released."""
    client = MlflowClient()
    client.create_registered_model(MODEL)
    (tmp_path / "model.onnx").write_bytes(b"graph")
    for alias in ("champion", "canary", "challenger"):
        number = client.create_model_version(MODEL, source="file:///nowhere").version
        client.set_registered_model_alias(MODEL, alias, number)
        if alias != "challenger":
            release_version(MODEL, str(number), [tmp_path / "model.onnx"], [KEY])
    return client


def test_each_alias_of_a_release_is_signed_for_some_days(registry):
    assert sorted(renew_freshness(MODEL, lambda: [KEY], days=2)) == ["canary", "champion"]
    read = partial(Freshness.parse, keys=[public_key(KEY)])
    for number, alias in enumerate(("champion", "canary"), start=1):
        tags = registry.get_model_version(MODEL, str(number)).tags
        stated = read(tags[f"freshness.{alias}"])
        assert (stated.model, stated.alias) == (MODEL, alias)
        assert (stated.version, stated.release) == (str(number), number)
        assert stated.expires - stated.issued == 2 * 86_400


def test_without_a_key_nothing_is_signed(registry):
    assert renew_freshness(MODEL, list) == []
    assert not any("fresh" in tag for tag in registry.get_model_version(MODEL, "1").tags)

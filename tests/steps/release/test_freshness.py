"""Freshness statements in the tags of released versions, as devices read them."""

import time
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient

from edge.protocol.freshness import Freshness
from steps.registry.versions import ONNX_VERSION
from steps.release.freshness import renew_freshness
from steps.release.keys import public_key
from steps.release.rollback import point_alias
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


def issued(registry, number: str) -> int:
    tags = registry.get_model_version(MODEL, number).tags
    return Freshness.parse(tags["freshness.champion"], [public_key(KEY)]).issued


def test_after_a_clock_that_was_ahead_statements_are_newer_all_the_same(registry, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 400 * 86_400)
    renew_freshness(MODEL, lambda: [KEY])
    monkeypatch.setattr(time, "time", lambda: now)
    foreign = Ed25519PrivateKey.generate()  # of someone who can only write to the registry
    renew_freshness(MODEL, lambda: [KEY], moving={"champion": "2"})
    assert issued(registry, "2") == issued(registry, "1") + 1
    stated = registry.get_model_version(MODEL, "2").tags["freshness.champion"]
    assert Freshness.parse(stated, [public_key(KEY)]).expires == int(now) + 30 * 86_400
    monkeypatch.setattr(time, "time", lambda: now + 10**9)
    renew_freshness(MODEL, lambda: [foreign])
    monkeypatch.setattr(time, "time", lambda: now)
    renew_freshness(MODEL, lambda: [KEY])
    assert issued(registry, "1") == issued(registry, "2") + 1


def test_a_version_is_signed_before_the_alias_moves_to_it(registry, monkeypatch):
    """A run that is killed in between leaves nothing that a device refuses."""
    renew_freshness(MODEL, lambda: [KEY])
    before = issued(registry, "1")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("steps.release.rollback.move_alias", killed)
    keras = registry.create_registered_model("package")
    version = registry.create_model_version(keras.name, source="file:///nowhere")
    registry.set_model_version_tag(keras.name, version.version, ONNX_VERSION, "2")
    version = registry.get_model_version(keras.name, version.version)
    with pytest.raises(KeyboardInterrupt):
        point_alias(version, "champion", "r" * 32, "it misses parcels", [KEY], 3)
    assert issued(registry, "2") > before

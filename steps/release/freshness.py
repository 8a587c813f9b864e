"""Signs, again and again, that a release is still the newest: devices notice if nobody does."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType

from mlflow import MlflowClient

from edge.protocol.freshness import DAY_SECONDS, FRESHNESS_TAG, Freshness
from edge.protocol.release import RELEASE_TAG, ReleaseError
from edge.protocol.signature import SignatureError
from steps.registry.versions import versions_of
from steps.release.keys import SigningKeys, public_key, sign

FRESH_DAYS = 30.0


def renew_freshness(
    model: str,
    keys: Callable[[], SigningKeys],
    days: float = FRESH_DAYS,
    moving: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Sign a freshness statement for each alias of a released model; return the aliases.

    Hold the lock of its aliases. Without a release or a key, there is nothing to sign. A statement
    counts as issued after all before it, even if the clock was ahead once and is right now:
    otherwise devices would refuse it.

    Args:
        model: the registered ONNX model.
        keys: returns the keys that sign its releases.
        days: after which a device without a newer statement says that it is stale.
        moving: numbers of the versions that aliases are about to name. They are signed before the
            aliases move, since devices refuse a version's old statement.
    """
    client = MlflowClient()
    tags = {str(version.version): version.tags for version in versions_of(model)}
    renewed = []
    for alias, named in {**client.get_registered_model(model).aliases, **moving}.items():
        number = str(named)
        if RELEASE_TAG not in tags[number] or not (signing := keys()):
            continue
        now, tag = int(time.time()), f"{FRESHNESS_TAG}{alias}"
        before = _issued((texts.get(tag, "") for texts in tags.values()), signing)
        release = json.loads(tags[number][RELEASE_TAG])["release"]
        stated = {"model": model, "alias": alias, "version": number, "release": release}
        stated |= {
            "issued": max(now, 1 + max(before, default=0)),
            "expires": now + round(days * DAY_SECONDS),
        }
        client.set_model_version_tag(model, number, tag, json.dumps(sign(stated, signing)))
        renewed.append(alias)
    return renewed


def _issued(texts: Iterator[str], keys: SigningKeys) -> Iterator[int]:
    """Yield when statements were issued: those of these keys, since anyone may have set a tag."""
    public = [public_key(key) for key in keys]
    for text in texts:
        with suppress(ReleaseError, SignatureError):
            yield Freshness.parse(text, public).issued

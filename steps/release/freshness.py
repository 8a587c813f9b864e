"""Signs, again and again, that a release is still the newest: devices notice if nobody does."""

import json
import time
from collections.abc import Callable

from mlflow import MlflowClient

from edge.protocol.freshness import FRESHNESS_TAG
from edge.protocol.release import RELEASE_TAG
from steps.release.keys import SigningKeys, sign

FRESH_DAYS = 30.0
DAY_SECONDS = 86_400


def renew_freshness(
    model: str, keys: Callable[[], SigningKeys], days: float = FRESH_DAYS
) -> list[str]:
    """Sign a freshness statement for each alias of a released model; return the aliases.

    Hold the lock of its aliases. Without a release or a key, there is nothing to sign.

    Args:
        model: the registered ONNX model.
        keys: returns the keys that sign its releases.
        days: after which a device without a newer statement says that it is stale.
    """
    client = MlflowClient()
    renewed = []
    for alias, number in client.get_registered_model(model).aliases.items():
        tags = client.get_model_version(model, number).tags
        if RELEASE_TAG not in tags or not (signing := keys()):
            continue
        issued = int(time.time())
        named = {"model": model, "alias": alias, "version": str(number)}
        release = json.loads(tags[RELEASE_TAG])["release"]
        times = {"issued": issued, "expires": issued + round(days * DAY_SECONDS)}
        stated = sign({**named, "release": release, **times}, signing)
        client.set_model_version_tag(model, number, f"{FRESHNESS_TAG}{alias}", json.dumps(stated))
        renewed.append(alias)
    return renewed

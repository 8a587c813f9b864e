"""A rollout in stages: which devices get the canary's release before all others do.

The champion's version carries the tag ``rollout``, which names a version and a share of devices. A
device that lies below the share installs the release of the alias ``canary`` if that names this
version. The tag is as trustworthy as an alias: who may write to the registry may move both, and
neither makes a device install a release that a trusted key has not signed, or an older one.
"""

import hashlib
import json
import re
from typing import NamedTuple

CHAMPION, CANARY = "champion", "canary"

ROLLOUT_TAG = "rollout"
"""Of the champion's version."""


class Rollout(NamedTuple):
    """A stage of a rollout.

    Attributes:
        version: of the released model, that the alias ``canary`` has to name.
        share: of the devices that get it, 0–1.
        since: when the stage began, ISO.
    """

    version: str
    share: float
    since: str

    @classmethod
    def parse(cls, text: str | None) -> "Rollout | None":
        """Return the rollout that a tag states; None if there is none, or it is damaged.

        >>> Rollout.parse('{"version": "7", "share": 0.05, "since": "2026-07-01T12:00:00+00:00"}')
        Rollout(version='7', share=0.05, since='2026-07-01T12:00:00+00:00')
        """
        try:
            stated = json.loads(text or "")
            found = cls(stated["version"], stated["share"], stated["since"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        is_sound = type(found.share) in (int, float) and 0 < found.share <= 1
        texts = found.version, found.since
        return found if is_sound and all(isinstance(text, str) for text in texts) else None

    def text(self) -> str:
        """Return it as a tag's value."""
        return json.dumps(self._asdict())

    def includes(self, device: str, model: str) -> bool:
        """Return whether a device gets the canary's release."""
        return place_of(device, model) < self.share


def place_of(device: str, model: str) -> float:
    """Return where a device lies in the rollouts of a model, 0–1: always at the same place.

    >>> round(place_of("porch-1", "package-onnx"), 4)
    0.941
    """
    digest = hashlib.sha256(f"{model}\n{device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def failed_here(release: int, reason: str) -> str:
    """Return what a device reports of a release that failed on it."""
    return f"release {release} failed here: {reason}"


def failed_releases(report: str | None) -> set[int]:
    """Return the numbers of the releases of which a device reports that they failed on it.

    >>> failed_releases("away; " + failed_here(7, "it crashes"))
    {7}
    """
    return {int(number) for number in re.findall(r"\brelease (\d+) failed here: ", report or "")}

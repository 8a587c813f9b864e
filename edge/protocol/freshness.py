"""The freshness statement: until when a release counts as the newest that an alias names.

A signature on a release says who made it, not whether there is a newer one. So a server that keeps
showing an old release would go unnoticed. This statement is signed again on a schedule.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge.protocol.release import Release, ReleaseError
from edge.protocol.signature import SignatureError, require_signature

FRESHNESS_TAG = "freshness."
"""With the alias, the tag of a released version that has its statement."""
FRESHNESS_FILE = "freshness.json"
"""The newest statement, in a model's folder on the device."""

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Freshness:
    """A freshness statement.

    Attributes:
        model, alias: whose newest release it names.
        version, release: that release.
        issued, expires: seconds since 1970.
        text: the statement as it was published, with its signatures.
    """

    model: str
    alias: str
    version: str
    release: int
    issued: int
    expires: int
    text: str

    @classmethod
    def parse(cls, text: str, keys: list[str]) -> "Freshness":
        """Read a statement that one of the keys signed.

        Raises:
            ReleaseError: it is damaged.
            SignatureError: none of the keys signed it.
        """
        try:
            stated = json.loads(text)
            model, alias, version = (str(stated[name]) for name in ("model", "alias", "version"))
            release, issued, expires = (stated[name] for name in ("release", "issued", "expires"))
            datetime.fromtimestamp(expires, UTC)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError) as error:
            raise ReleaseError(f"the freshness statement is damaged: {error!r}") from error
        if not all(type(number) is int for number in (release, issued, expires)):
            raise ReleaseError("the freshness statement is damaged: a number is none")
        require_signature(stated, keys)
        return cls(model, alias, version, release, issued, expires, text)

    def require_of(self, release: Release, alias: str) -> None:
        """Raise :class:`ReleaseError` if it belongs elsewhere, or names a later release than shown.

        It may name an earlier one for the moment between a release and its statement.
        """
        is_elsewhere = (self.model, self.alias) != (release.model, alias)
        if is_elsewhere or self.release > release.release:
            raise ReleaseError(
                f"release {release.release} of {release.model} came with the freshness statement "
                f"of release {self.release} of {self.model}@{self.alias}"
            )

    def is_ahead(self, now: datetime) -> bool:
        """Return whether it was issued a day or more after this moment: by a clock that was wrong.

        Args:
            now: from a clock that is vouched for.
        """
        return self.issued >= now.timestamp() + DAY_SECONDS

    def staleness(self, now: datetime) -> str | None:
        """Return that it has expired; None if it has not.

        Args:
            now: from a clock that is vouched for.
        """
        if now.timestamp() <= self.expires:
            return None
        until = datetime.fromtimestamp(self.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return (
            f"stale: release {self.release} was the newest until {until}, and nothing newer was "
            "said since: run upkeep where releases are made; if it runs, the server holds back"
        )


def read_freshness(folder: Path, keys: list[str], model: str, alias: str) -> Freshness | None:
    """Return the newest statement of a model's folder for an alias.

    None if there is none, or if it is damaged or signed by no key that is trusted now: so what a
    stolen key has signed is forgotten with the key.
    """
    try:
        found = Freshness.parse((folder / FRESHNESS_FILE).read_text(encoding="utf-8"), keys)
    except (OSError, UnicodeDecodeError, ReleaseError, SignatureError):
        return None
    return found if (found.model, found.alias) == (model, alias) else None

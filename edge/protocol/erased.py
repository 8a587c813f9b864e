"""What was erased: ingest refuses it if it lands again, and devices delete and never send it."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from edge.inference.errors import UserError

ERASED = "erased.json"
"""The name of the list, in the lake and in each landing zone."""

UNSET_YEAR = 1970
"""Of an image whose time of capture nobody knows, as by a device whose clock was never set."""


class ErasedError(UserError):
    """The list of what was erased is damaged."""


@dataclass(frozen=True)
class Rule:
    """Images that are erased: those for which all that is given holds.

    Attributes:
        asked_at: ISO, with a zone. Images that were taken later are meant by their bytes only.
        sha256: of their bytes; empty: any.
        device: that took them.
        day: on which they were taken, UTC, as in 2026-07-13.
        before: day before which they were taken.
    """

    asked_at: str
    sha256: tuple[str, ...] = ()
    device: str | None = None
    day: str | None = None
    before: str | None = None

    @property
    def is_age(self) -> bool:
        """Whether it is about the time of capture alone."""
        return self.before is not None and not (self.sha256 or self.device or self.day)

    def covers(self, sha256: str | None, device: str | None, captured_at: datetime | None) -> bool:
        """Return whether an image is meant.

        Args:
            sha256: of its bytes; None if unknown.
            device: that took it.
            captured_at: with a zone; None if unknown.
        """
        if self.sha256 and sha256 not in self.sha256:
            return False
        if self.device is not None and device != self.device:
            return False
        if captured_at is None or captured_at.year <= UNSET_YEAR:
            return self.day is None and self.before is None
        day = captured_at.date().isoformat()
        if (self.day or day) != day or (self.before is not None and day >= self.before):
            return False
        return bool(self.sha256) or captured_at <= datetime.fromisoformat(self.asked_at)


@dataclass(frozen=True)
class Erased:
    """The list of what was erased.

    Attributes:
        rules: the images that are erased.
        sha256: hashes of images that the rules were found to mean, also under other names; only in
            the lake.
        files: SHA-256 of files of releases that hold such an image.
    """

    rules: tuple[Rule, ...] = ()
    sha256: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str | bytes) -> "Erased":
        """Read the list; raises :class:`ErasedError` if it is damaged."""
        try:
            listed = json.loads(text)
            rules = [Rule(**{**rule, "sha256": tuple(rule["sha256"])}) for rule in listed["rules"]]
            for rule in rules:
                if datetime.fromisoformat(rule.asked_at).tzinfo is None:
                    raise ValueError("asked_at has no zone")
            return cls(tuple(rules), frozenset(listed["sha256"]), frozenset(listed["files"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ErasedError(f"{ERASED} is damaged: {error!r}") from error

    def text(self) -> str:
        """Return the list as JSON; the same list gives the same text."""
        listed = {
            "rules": [asdict(rule) for rule in self.rules],
            "sha256": sorted(self.sha256),
            "files": sorted(self.files),
        }
        return json.dumps(listed, indent=1) + "\n"

    def covers(self, sha256: str | None, device: str | None, captured_at: datetime | None) -> bool:
        """Return whether an image is erased, as :meth:`Rule.covers` does."""
        return sha256 in self.sha256 or any(
            rule.covers(sha256, device, captured_at) for rule in self.rules
        )

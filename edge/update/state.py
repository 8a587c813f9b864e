"""What a device remembers about a model's updates."""

import hashlib
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Failure:
    """A release that failed here.

    Attributes:
        release: its number.
        reason: on one line.
        attempts: how often it was tried.
        final: whether it is not tried again.
        runtime_fingerprint: what it was tried with; with anything else it is tried again.
    """

    release: int
    reason: str
    attempts: int = 1
    final: bool = False
    runtime_fingerprint: str = ""


@dataclass(frozen=True)
class State:
    """What a device remembers about a model's updates.

    Attributes:
        taken: the highest release number that was ever switched to.
        statement: the digest of that release.
        probation: the folder of a release that was switched to and is not confirmed yet.
        starts: how often the process started during that probation.
        previous: the folder to go back to.
        failures: by the SHA-256 of the signed statement, the newest last.
    """

    taken: int = 0
    statement: str = ""
    probation: str | None = None
    starts: int = 0
    previous: str | None = None
    failures: dict[str, Failure] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "State":
        """Read what :meth:`text` wrote; damaged text is an empty state."""
        try:
            fields = json.loads(text)
            digest = fields.pop("sha256")
            fields["failures"] = {k: Failure(**v) for k, v in fields["failures"].items()}
            state = cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()
        return state if digest == state._digest() else cls()

    def text(self) -> str:
        """As JSON, with its own SHA-256: one wrong digit would refuse releases for ever."""
        return json.dumps(asdict(self) | {"sha256": self._digest()}, indent=2) + "\n"

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

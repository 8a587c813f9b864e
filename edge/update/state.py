"""What a device remembers about a model's updates."""

import hashlib
import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Failure:
    """A release that failed on this device, as its state remembers it.

    Attributes:
        release: its number.
        reason: on one line.
        attempts: how many attempts to install it failed.
        final: whether there is no further attempt with this runtime.
        runtime_fingerprint: of the runtime that it failed with.
    """

    release: int
    reason: str
    attempts: int = 1
    final: bool = False
    runtime_fingerprint: str = ""

    def is_final_with(self, runtime_fingerprint: str) -> bool:
        """Return whether there is no further attempt with a runtime."""
        return self.final and self.runtime_fingerprint == runtime_fingerprint


@dataclass(frozen=True)
class State:
    """What a device remembers about a model's updates.

    Attributes:
        highest_release: the highest release number that this device ever switched to.
        digest: of that release.
        probation: the folder of the release on probation.
        starts: how often the process started during that probation, or ended in a frame after it.
        previous: the folder to roll back to.
        failures: by the digest of the release, the newest last.
    """

    highest_release: int = 0
    digest: str = ""
    probation: str | None = None
    starts: int = 0
    previous: str | None = None
    failures: dict[str, Failure] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "State":
        """Parse what :meth:`text` returned; damaged text is an empty state."""
        try:
            fields = json.loads(text)
            checksum = fields.pop("sha256")
            fields["failures"] = {k: Failure(**v) for k, v in fields["failures"].items()}
            state = cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()
        return state if checksum == state._checksum() else cls()

    def text(self) -> str:
        """Return JSON with its own SHA-256, since one wrong digit could refuse all releases."""
        return json.dumps(asdict(self) | {"sha256": self._checksum()}, indent=2) + "\n"

    def _checksum(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

"""Where a server or a step runs: this machine, or one of the hosts that it plays."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A machine, as the others see it.

    Attributes:
        name: what others call it.
        address: what that resolves to.
        enter: what stands before a command so that it runs there.
        root: its file system, as seen from here.
    """

    name: str = "127.0.0.1"
    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()
    root: Path = Path("/")

    def file(self, path: Path) -> Path:
        """Where a file of the place is found from here."""
        return self.root / path.relative_to("/")


HERE = Place()

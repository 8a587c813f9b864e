"""What a start after a power cut finds wrong."""

from dataclasses import dataclass


@dataclass
class Outcome:
    """What a start on one state found wrong; the texts say what."""

    lost: list[str]
    doubled: list[str]
    without_model: list[str]
    needs_a_hand: list[str]

    @classmethod
    def of(cls, **found: list[str]) -> "Outcome":
        """Return an outcome with some faults."""
        names = ("lost", "doubled", "without_model", "needs_a_hand")
        return cls(**{name: found.get(name, []) for name in names})

    @property
    def faults(self) -> dict[str, list[str]]:
        """The kinds of faults that were found."""
        return {name: texts for name, texts in vars(self).items() if texts}

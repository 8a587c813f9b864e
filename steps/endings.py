"""How a run ends: its tag ``result``. What each one means to its reader is in docs/nightly.md."""

from enum import StrEnum


class Result(StrEnum):
    """The endings of a run: up to NO_MODEL it is FINISHED (0), then FAILED (1), then KILLED."""

    DONE = "done"
    RELEASED = "released"
    REUSED = "reused"
    CHAMPION_STAYS = "champion stays"
    NO_MODEL = "no model yet"
    NO_LABELS = "no labels"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_refusal(self) -> bool:
        """Whether a challenger was refused: with ``on_refusal=fail`` the run is FAILED (1)."""
        return self in (Result.CHAMPION_STAYS, Result.NO_MODEL)

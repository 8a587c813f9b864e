"""The label of each image as it stands, and what an undo takes back."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from steps.ingestion.label_rows import (
    IMPORT,
    NOT_SURE,
    RENAME,
    UNDO,
    UNDO_TO_NOT_SURE,
    LabelRow,
)

ACTION = ("labeller", "labelled_at")
"""What the rows of one action have in common."""

KEPT_ACTIONS = 1000
"""Actions that can be taken back, one after the other."""


class LabelNow(NamedTuple):
    """The label of an image as it stands, by its newest row.

    Attributes:
        label: None if there is none.
        labeller: who gave it.
        is_unsure: whether the labeller was not sure.
        at: when.
    """

    label: str | None
    labeller: str
    is_unsure: bool
    at: datetime


class UndoableChange(NamedTuple):
    """What a row did to an image, which an undo takes back.

    Attributes:
        sha256: of the image.
        before: what it had; None: no row.
        by_others: what other people had said, by name.
        at: when.
    """

    sha256: str
    before: LabelNow | None
    by_others: dict[str, str | None]
    at: datetime


class LabelsNow:
    """The newest row of each image, and the actions of one labeller.

    Rows of the same time are one action, such as all frames between two marks.

    Args:
        labeller: whose actions can be taken back.
    """

    def __init__(self, labeller: str):
        self._labeller = labeller
        self._newest: dict[str, LabelNow] = {}
        self._by_others: dict[str, dict[str, str | None]] = {}
        self._actions: list[list[UndoableChange]] = []

    def __getitem__(self, sha256: str) -> LabelNow | None:
        return self._newest.get(sha256)

    def items(self) -> Iterable[tuple[str, LabelNow]]:
        """Return the images that have rows, with the newest."""
        return list(self._newest.items())  # a copy: another thread may add some

    def disagreements(self) -> Iterable[str]:
        """Yield the images that have different labels by different people."""
        for sha256, labels in list(self._by_others.items()):
            if len({*labels.values(), self._newest[sha256].label}) > 1:
                yield sha256

    def apply(self, rows: Iterable[LabelRow]) -> None:
        """Apply rows in their order, the oldest first."""
        for (labeller, _), group in groupby(rows, attrgetter(*ACTION)):
            action = list(group)
            changes = [self._apply(row) for row in action]
            if labeller != self._labeller or action[0].how == IMPORT:
                continue
            if action[0].how in (UNDO, UNDO_TO_NOT_SURE):
                self._take_back({change.sha256 for change in changes})
            elif self._actions and self._actions[-1][0].at == changes[0].at:
                self._actions[-1] += changes  # it came in parts
            else:
                self._actions = [*self._actions[-KEPT_ACTIONS:], changes]

    def _take_back(self, undone: set[str]) -> None:
        """Let images be as before the last action on them, also for the undo that follows."""
        while self._actions:
            action = self._actions.pop()
            for sha256, before, by_others, _ in action:
                if before and sha256 in undone:
                    self._newest[sha256], self._by_others[sha256] = before, by_others
            if any(change.sha256 in undone for change in action):
                return

    def _apply(self, row: LabelRow) -> UndoableChange:
        before, by_others = self._newest.get(row.sha256), self._by_others.get(row.sha256, {})
        if before and row.how == RENAME:  # says nothing of the image
            renamed = {one: row.label for one, said in by_others.items() if said == before.label}
            self._by_others[row.sha256] = by_others | renamed
        elif before and before.labeller != row.labeller:
            others = by_others | {before.labeller: before.label}
            others.pop(row.labeller, None)
            self._by_others[row.sha256] = others
        is_unsure = row.how in (NOT_SURE, UNDO_TO_NOT_SURE)
        self._newest[row.sha256] = LabelNow(row.label, row.labeller, is_unsure, row.labelled_at)
        return UndoableChange(row.sha256, before, by_others, row.labelled_at)

    def last_action(self) -> list[UndoableChange]:
        """Return what an undo takes back: of the last action, what others have left as it was."""
        for action in reversed(self._actions):
            if own := [change for change in action if self._newest[change.sha256].at == change.at]:
                return own
        return []

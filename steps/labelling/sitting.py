"""A sitting: the images of a source, their labels as they stand, and what is labelled now."""

import threading
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from steps.ingestion.class_names import class_names
from steps.ingestion.label_rows import UNDO, UNDO_TO_NOT_SURE, LabelRow, all_labels, labels_version
from steps.ingestion.tables import IMAGES
from steps.labelling.image_content import ImageContent
from steps.labelling.image_features import ImageFeatures
from steps.labelling.image_index import ImageIndex, newest_version, read_index
from steps.labelling.journal import Journal
from steps.labelling.labels_now import LabelsNow
from steps.settings.profile import Profile

NONE, UNSURE = -1, -2
"""Codes of images without a label, and of those of which a labeller was not sure."""


class Press(NamedTuple):
    """What a labeller pressed: a label as the page sends it.

    Attributes:
        id: made when the key was pressed.
        sha256: of the image.
        label: None if the labeller is not sure.
        how: as in :class:`steps.ingestion.label_rows.LabelRow`.
        action: the same for all that one key labelled.
        proposed_by: version of the model that proposed it.
    """

    id: str
    sha256: str
    label: str | None
    how: str
    action: str
    proposed_by: str | None = None


class GoneError(Exception):
    """An image is no longer in the table."""


@dataclass
class State:
    """The images, and by code the label of each.

    Attributes:
        images: the index.
        codes: ``int32 [N]``: a class's number, ``NONE`` or ``UNSURE``.
    """

    images: ImageIndex
    codes: NDArray[np.int32]


class Sitting:
    """What the page shows and changes; safe for several threads.

    Args:
        profile: names the lake.
        source: the landing zone, as the tables write it.
        journal: takes the labels.
        labeller: who labels.

    Raises:
        UserError: there is nothing to label.
    """

    def __init__(self, profile: Profile, source: str, journal: Journal, labeller: str):
        self.profile, self.source, self.labeller = profile, source, labeller
        self.journal = journal
        self.classes: list[str] = []
        self.given, self._given_to = 0, set[str]()
        self.features = ImageFeatures(profile, source)
        self.content = ImageContent(IMAGES.path(profile))
        self._lock = threading.RLock()
        self._ids = {row.id for row in journal.rows}
        self._at = datetime.min.replace(tzinfo=UTC)
        self._last = ("", self._at)
        self._labels_version = -2
        self.read()

    def read(self) -> None:
        """Read the tables, of which the journal is the continuation."""
        images = read_index(self.profile, self.source)
        version = labels_version(self.profile)
        with self._lock:
            self._labels_version = version
            self.labels = LabelsNow(self.labeller)
            stored = all_labels(self.profile).to_pylist()
            committed = [LabelRow(**{f: row[f] for f in LabelRow._fields}) for row in stored]
            known = {row.id for row in committed}
            rows = [*committed, *(row for row in self.journal.rows if row.id not in known)]
            here = (row for row in rows if images.find(row.sha256) is not None)
            rows = sorted(here, key=attrgetter("labelled_at"))
            self.labels.apply(rows)
            # what is labelled now is newer than all of these, whatever the clock says
            self._at = max([self._at, *(row.labelled_at for row in rows)])
            self.names = class_names(self.profile)
            by_key: list[str] = sorted(self.names, key=lambda label: self.names[label].key or "~")
            self._add_classes(by_key)
            own = images.columns["label"].unique().to_pylist()
            self._add_classes(sorted(label for label in own if label))
            found = {given.label for _, given in self.labels.items()}
            # in the order in which they came up, as in the sitting that gave them
            self._add_classes(row.label for row in rows if row.label in found)
            self._add_classes(sorted(label for label in found if label))
            self.state = State(images, self._codes(images))

    def _add_classes(self, labels: Iterable[str | None]) -> None:
        """Add those that are new at the end, so that a class keeps its key for the sitting."""
        new = (label for label in dict.fromkeys(labels) if label not in self.classes)
        self.classes += [label for label in new if label]

    def define(self, label: str) -> None:
        """Give a label the next key, before an image has it."""
        with self._lock:
            self._add_classes([label])

    def _codes(self, images: ImageIndex) -> NDArray[np.int32]:
        own = images.columns["label"].combine_chunks().dictionary_encode()
        numbers = np.array([self.classes.index(label) for label in own.dictionary.to_pylist()])
        codes = np.full(len(images), NONE, np.int32)
        indices = own.indices.to_numpy(zero_copy_only=False)
        has = ~np.isnan(indices.astype(float))
        codes[has] = numbers[indices[has].astype(int)]
        for sha256, given in self.labels.items():
            is_given = given.label is not None or given.is_unsure  # else what a name gives counts
            if is_given and (number := images.find(sha256)) is not None:
                codes[number] = self._code(given.label, given.is_unsure)
        return codes

    def _code(self, label: str | None, is_unsure: bool) -> int:
        if label is None:
            return UNSURE if is_unsure else NONE
        return self.classes.index(label)

    def refresh(self) -> bool:
        """Read the tables again if someone wrote to them; return whether that was so."""
        known = self.state.images.version, self._labels_version
        if (newest_version(self.profile), labels_version(self.profile)) == known:
            return False
        self.read()
        return True

    def label(self, presses: list[Press]) -> None:
        """Write labels, all or none; those whose ID was written before are not written again.

        Raises:
            GoneError: an image is not there.
            JournalError: they could not be written.
        """
        with self._lock:
            new = [press for press in presses if press.id not in self._ids]
            for press in new:
                self.number_of(press.sha256)
            times = {
                action: self._time_of(action) for action in dict.fromkeys(p.action for p in new)
            }
            self._write(
                [
                    LabelRow(*p[:3], self.labeller, p.how, times[p.action], p.proposed_by)
                    for p in new
                ]
            )
            self.given += len(new)
            self._given_to.update(press.sha256 for press in new)

    def undo(self) -> list[str]:
        """Take the last action back, of this sitting or an earlier one; return its images.

        Raises:
            JournalError: it could not be written.
        """
        with self._lock:
            changes = self.labels.last_action()
            at, rows = self._now(), []
            for sha256, before, *_ in changes:
                number = self.state.images.find(sha256)
                label = before.label if before else None
                if before is None and number is not None:
                    label = self.state.images.columns["label"][number].as_py()
                how = UNDO_TO_NOT_SURE if before and before.is_unsure else UNDO
                rows.append(LabelRow(uuid.uuid4().hex, sha256, label, self.labeller, how, at))
            self._write(rows)
            return [change.sha256 for change in changes]

    def number_of(self, sha256: str) -> int:
        """Return where an image stands.

        Raises:
            GoneError: it is not there.
        """
        number = self.state.images.find(sha256)
        if number is None:
            raise GoneError(f"the image {sha256[:64]} is not in the table")
        return number

    def _time_of(self, action: str) -> datetime:
        """Return the time of an action, which may go on where the last request ended."""
        if self._last != (action, self._at):
            self._last = action, self._now()
        return self._last[1]

    def _now(self) -> datetime:
        """Return the time, later than that of the action before."""
        self._at = max(datetime.now(UTC), self._at + timedelta(microseconds=1))
        return self._at

    def _write(self, rows: list[LabelRow]) -> None:
        if not rows:
            return
        self.journal.append(rows)
        self._ids.update(row.id for row in rows)
        self.labels.apply(rows)
        self._add_classes(row.label for row in rows)
        for row in rows:
            number, given = self.state.images.find(row.sha256), self.labels[row.sha256]
            if number is not None and given is not None:
                self.state.codes[number] = self._code(given.label, given.is_unsure)

    def read_image(self, sha256: str) -> bytes:
        """Return an image's bytes, also after the table was compacted.

        Raises:
            GoneError: it is no longer there.
        """
        while True:
            place = self.state.images.place_of(self.number_of(sha256))
            try:
                return self.content.read(*place)
            except OSError as error:
                if not self.refresh():
                    raise GoneError(f"the image {sha256} cannot be read") from error

    def _shown(self, label: str) -> dict[str, str]:
        """Return how people see a label, if it has a name."""
        named = self.names.get(label)
        return {"name": named.name, "colour": named.colour} if named else {}

    def summary(self) -> dict[str, Any]:
        """Return what the page shows besides the images."""
        with self._lock:
            state = self.state
            counts = Counter(state.codes.tolist())
            labellers = {given.labeller for _, given in self.labels.items()}
        names, _ = state.images.devices
        days = np.unique(state.images.times // 86_400_000_000)
        return {
            "source": self.source,
            "labeller": self.labeller,
            "images": len(state.images),
            "unlabelled": counts[NONE],
            "unsure": counts[UNSURE],
            "given": self.given,
            "given_to": len(self._given_to),
            "features": self.features.count(),
            "classes": [
                {"label": label, "count": counts[code]} | self._shown(label)
                for code, label in enumerate(self.classes)
            ],
            "devices": names,
            "days": np.datetime_as_string(days.astype("datetime64[D]")).tolist(),
            "labellers": sorted(labellers),
        }

"""What was erased in the lake: it is deleted here, and never sent."""

import logging
from contextlib import suppress

from edge.outbox.queue_files import UNREADABLE
from edge.outbox.store import Store
from edge.protocol.erased import Erased, ErasedError
from edge.protocol.landing_names import capture_time

logger = logging.getLogger(__name__)

STORED = "erased"


class Erasures:
    """The list of the landing zone, as it was read last; it outlives restarts.

    Args:
        store: of the images that wait.
        device: whose images they are.
    """

    def __init__(self, store: Store, device: str):
        self._store, self._device = store, device
        self._text, self.erased = store.stored_value(STORED) or "", Erased()
        if self._text:
            with suppress(ErasedError):  # a later agent wrote it: the landing zone's list follows
                self.erased = Erased.parse(self._text)

    def update(self, content: bytes | None) -> None:
        """Take a list over, and delete what it means of what waits here.

        A missing or damaged list changes nothing: the last one holds.
        """
        text = "" if content is None else content.decode(errors="replace")
        if text not in ("", self._text):
            try:
                self.erased = Erased.parse(text)
                self._store.store_value(STORED, text, durable=True)
            except ErasedError as error:
                logger.warning("%s: the list before it holds", error)
            self._text = text
        self._delete()

    def covers(self, name: str, sha256: str | None) -> bool:
        """Return whether an image is erased, by its name in the landing zone and its hash."""
        return self.erased.covers(sha256, self._device, capture_time(name))

    def _delete(self) -> None:
        if self.erased.rules:
            waiting = self._store.images.named()
            self.drop([image.id for image in waiting if self.covers(image.name, image.sha256)])
            for file in (self._store.folder / UNREADABLE).glob("*"):
                if self.covers(file.name.split(".", 2)[-1], None):
                    with suppress(OSError):
                        file.unlink()

    def drop(self, ids: list[int]) -> None:
        """Delete images that are erased."""
        if dropped := self._store.drop_images(ids) if ids else 0:
            self._store.count(erased=dropped)
            logger.info("%d images that waited are erased", dropped)

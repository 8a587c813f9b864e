"""Which frame is being scored, in a file that outlives the process."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.agent.clock import boot_id
from edge.cameras.camera import FrameImage

LENGTH = 512
"""Bytes of the file; it is written twice a frame and never synced."""


def frame_hash(image: FrameImage) -> str:
    """Return the SHA-256 of a frame: of its file's bytes, or of its pixels."""
    return hashlib.sha256(image if isinstance(image, bytes) else image.tobytes()).hexdigest()


class FrameMarker:
    """Tells the next process that this one ended, or was ended, while it scored a frame.

    A restart of the machine, as after a power cut, is no fault of the frame or the model.

    Args:
        path: of the file.

    Attributes:
        crash: (release's folder, frame's hash) of the process before; None if it was not scoring.
        avoided: hash of the last frame with which a process ended, which is not scored again.
    """

    def __init__(self, path: Path):
        self._path, self._boot = path, boot_id()
        self.crash: tuple[str, str] | None = None
        self.avoided = ""
        with suppress(OSError, ValueError, KeyError, TypeError):
            last = json.loads(path.read_bytes())
            self.avoided = str(last["avoided"])
            if last["frame"] and last["boot"] == self._boot:
                self.crash = str(last["folder"]), str(last["frame"])
                self.avoided = self.crash[1]
        self._write("", "")

    @contextmanager
    def scoring(self, folder: str, frame: str) -> Iterator[None]:
        """Mark a frame as being scored, with the release in a folder."""
        self._write(folder, frame)
        try:
            yield
        finally:
            self._write("", "")

    def _write(self, folder: str, frame: str) -> None:
        record = {"boot": self._boot, "folder": folder, "frame": frame, "avoided": self.avoided}
        with suppress(OSError):  # a full disk; or no model was pulled yet
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.pwrite(descriptor, json.dumps(record).encode().ljust(LENGTH), 0)
            finally:
                os.close(descriptor)

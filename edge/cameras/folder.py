"""A folder of images as a camera."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from edge.cameras.camera import Camera, CameraSettings, Frame, Shot
from edge.cameras.errors import CameraError, NoNewFrameError, UnreadableFrameError
from edge.cameras.jpeg import is_jpeg
from edge.inference.errors import UnreadableError
from edge.inference.image import EXIF_DAMAGE, MAX_BYTES, SUFFIXES, as_rgb, open_image, upright
from edge.protocol.exif_time import find_exif_time

MINUTE = 60 * 10**9
"""In nanoseconds; by so much may the clock of another machine be ahead."""


class FolderCamera(Camera):
    """A camera that shows the images of a folder, sorted by name, without its subfolders.

    Its frames carry the files' own bytes and names.

    Args:
        settings: their source is the folder.
    """

    model = "folder"
    description = "the images in a folder, by name"
    source_syntax = ":PATH"
    source_pattern, source_help = ".+", "name a folder"

    def __init__(self, settings: CameraSettings):
        super().__init__(settings)
        self.folder = Path(os.path.expanduser(settings.source))
        self._seen = (-1, "", 0)
        self._unreadable: str | None = None  # why the file seen last is not an image

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield the first ``count`` images, or all of them for ``None``.

        Raises:
            CameraError: there is no such folder, no image in it, or one that cannot be read.
        """
        paths = sorted(filter(_age, self._paths()))
        if not paths:
            raise CameraError(f"no image in {self.folder}: put one in ({' '.join(SUFFIXES)})")
        for path in paths[:count]:
            yield _read(path, _content(path), _local(path.stat().st_mtime))

    def open(self) -> None:
        """Check that the folder exists; the images in it count as new."""
        self._paths()

    @contextmanager
    def shot(self) -> Iterator[Shot]:
        """Return the newest image, once.

        Raises:
            CameraError: there is no such folder, or this user may not read the newest image.
            NoNewFrameError: the newest image was seen before.
            UnreadableFrameError: the newest file is not an image, or not complete yet.
        """
        newest = max(filter(None, map(_age, self._paths())), default=(-1, "", 0))
        if newest == self._seen and self._unreadable:
            raise UnreadableFrameError(self._unreadable)
        if newest <= self._seen:
            raise NoNewFrameError(f"no new image in {self.folder}")
        path = self.folder / newest[1]
        encoded = _content(path)
        self._seen, self._unreadable = newest, None
        try:
            with open_image(encoded) as image:
                if not is_jpeg(encoded):
                    image.load()  # as a PNG does to look for EXIF: half a file is not yet one
                own_time = _taken_at(image)
                taken = own_time or _local(newest[0] / 1e9)
        except UnreadableError as error:
            self._unreadable = f"{path.name} is not a readable image: {error}"
            raise UnreadableFrameError(self._unreadable) from error
        frame = Frame(
            lambda: _read(path, encoded, taken).pixels, taken, encoded=encoded, file_name=path.name
        )
        yield Shot(encoded, taken, lambda: frame, own_time is not None)

    def close(self) -> None:
        """Do nothing: a folder needs no stop."""

    def _paths(self) -> list[Path]:
        try:
            return [
                path
                for path in self.folder.iterdir()
                if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
            ]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CameraError(f"no folder {self.folder}: name one with images") from error
        except OSError as error:
            raise _access_error(self.folder, error, "name another folder") from error


def _age(path: Path) -> tuple[int, str, int] | None:
    """Return a key that is largest for the newest image; it changes while a file grows.

    What is not a file has none: to open a pipe would wait for its writer. A file that is dated in
    the future counts as of when it came here, else none after it would be newer.
    """
    try:
        if not path.is_file():
            return None
        status = path.stat()
    except FileNotFoundError:  # removed while the folder was listed
        return None
    except OSError as error:
        raise _access_error(path, error) from error
    is_ahead = status.st_mtime_ns > time.time_ns() + MINUTE
    return (status.st_ctime_ns if is_ahead else status.st_mtime_ns, path.name, status.st_size)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # enough to tell that it is too large
    except FileNotFoundError as error:  # removed since the folder was listed
        raise NoNewFrameError(f"{path} is gone") from error
    except OSError as error:
        raise _access_error(path, error) from error


def _access_error(path: Path, error: OSError, otherwise: str = "remove it") -> CameraError:
    why = f"{path} cannot be read ({error.strerror})"
    return CameraError(f"{why}: let this user read it, or {otherwise}")


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def _read(path: Path, encoded: bytes, changed: datetime) -> Frame:
    """Read the full image; ``changed`` is its time if EXIF has none."""
    try:
        with open_image(encoded) as image:
            image.load()  # here, so that damaged pixels are not taken for damaged EXIF
            taken = _taken_at(image)
            pixels = np.asarray(as_rgb(upright(image)))
    except UnreadableError as error:
        raise CameraError(f"{path} is not a readable image ({error}): remove it") from error
    return Frame(pixels, taken or changed, encoded=encoded, file_name=path.name)


def _taken_at(image: Image.Image) -> datetime | None:
    """When EXIF says that the image was taken; without an offset, in this machine's zone.

    None where EXIF says nothing of it, or cannot be read.
    """
    tags: dict[int, Any] = {}
    gps: dict[int, Any] = {}
    with suppress(*EXIF_DAMAGE):  # what precedes the damage counts
        exif = image.getexif()
        tags |= dict(exif)
        tags |= exif.get_ifd(ExifTags.IFD.Exif)
        gps |= exif.get_ifd(ExifTags.IFD.GPSInfo)
    taken, _ = find_exif_time(tags, gps) or (None, "")
    return taken.astimezone() if taken and taken.tzinfo is None else taken

"""A folder of pictures as a camera."""

import io
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from edge.cameras.camera import CameraError, Frame

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

DATE_TIME, EXIF_FOLDER, DATE_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL = 0x0132, 0x8769, 0x9003, 0x9011


class FolderCamera:
    """A camera that shows the pictures of a folder, sorted by name; subfolders are left out.

    Its frames carry the files' own bytes and names.

    Args:
        folder: where the pictures are.
    """

    model = "folder"

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)

    def frames(self, count: int | None) -> Iterator[Frame]:
        """Yield the first ``count`` pictures, or all of them for ``None``.

        Raises:
            CameraError: there is no such folder, no picture in it, or one that cannot be read.
        """
        if not self.folder.is_dir():
            raise CameraError(f"no folder {self.folder}: give one with pictures, folder:PATH")
        paths = sorted(
            path
            for path in self.folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not paths:
            raise CameraError(f"no picture in {self.folder}: put one in ({' '.join(SUFFIXES)})")
        for path in paths[:count]:
            yield _read(path)


def _read(path: Path) -> Frame:
    encoded = path.read_bytes()
    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            taken = _taken_at(picture.getexif())
            pixels = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise CameraError(f"{path} is not a readable picture ({error}): remove it") from error
    modified = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return Frame(pixels, taken or modified, encoded=encoded, file_name=path.name)


def _taken_at(exif: Image.Exif) -> datetime | None:
    """When EXIF says that the picture was taken; without an offset, in this machine's zone."""
    details = exif.get_ifd(EXIF_FOLDER)
    written = details.get(DATE_TIME_ORIGINAL) or exif.get(DATE_TIME)
    if not written:
        return None
    try:
        time = datetime.strptime(str(written), "%Y:%m:%d %H:%M:%S")
        offset = datetime.strptime(str(details.get(OFFSET_TIME_ORIGINAL)), "%z").tzinfo
    except ValueError:
        return _in_this_zone(str(written))
    return time.replace(tzinfo=offset)


def _in_this_zone(written: str) -> datetime | None:
    try:
        return datetime.strptime(written, "%Y:%m:%d %H:%M:%S").astimezone()
    except ValueError:  # cameras without a clock write zeros or spaces
        return None

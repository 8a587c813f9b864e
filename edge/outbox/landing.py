"""The landing zone: any folder or URL that fsspec writes to."""

import hashlib
import os
import posixpath
import stat
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from edge.files.atomic import sync_folder, write_atomically
from edge.inference.errors import UserError

ATOMIC_PROTOCOLS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"}
"""Stores that show a file only when it is complete. A rename there would be a copy."""


class _Folder:
    """A folder's files, by the methods of fsspec's file systems: to import it takes 3 MB."""

    local_file = True
    exists = staticmethod(os.path.exists)
    isfile = staticmethod(os.path.isfile)
    size = staticmethod(os.path.getsize)

    def cat_file(self, path: str) -> bytes:
        return Path(path).read_bytes()


class LandingError(UserError):
    """The landing zone cannot be written to."""


class Landing:
    """The landing zone, which gets every file complete and once.

    Args:
        url: a folder, or a URL of a file system that fsspec knows.
        options: of that file system, such as an endpoint or credentials.
        mount: a path that must be a mount point: files in an unmounted folder would fill the
            device's own disk.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, mount: str = ""):
        self.url, self._options, self._mount = url, dict(options or {}), mount
        self._opened: tuple[Any, str] | None = None

    def put(self, name: str, content: bytes, replace: bool = False) -> str:
        """Write a file and return its name in the landing zone.

        An existing file of that name with the same bytes is this file, sent before. One with other
        bytes stays, and this file goes into a folder named for its content.

        Args:
            name: below the landing zone.
            content: its bytes.
            replace: whether to replace an existing file.

        Raises:
            LandingError: the file system is not known, or the landing zone is not mounted.
            Exception: whatever the file system raises; the file can be put again at any time.
        """
        filesystem, root = self._filesystem()
        path = f"{root}/{name}"
        if not replace and filesystem.exists(path):
            # what is not a file, such as a folder or a pipe, is never this one
            is_equal = filesystem.isfile(path) and filesystem.size(path) == len(content)
            if is_equal and filesystem.cat_file(path) == content:
                if _is_local(filesystem):
                    # a power cut may have come before the sync
                    sync_folder(Path(path).parent)
                    _sync_folders(Path(path).parent, Path(root))
                return name
            name = f"again-{hashlib.sha256(content).hexdigest()[:12]}/{name}"
            path = f"{root}/{name}"
        if _is_local(filesystem):
            # sync the file, then its name: afterwards the queue deletes its own file
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(path), content)
            _sync_folders(Path(path).parent, Path(root))
        else:
            self._put_remote(filesystem, path, content, replace)
        return name

    def _put_remote(self, filesystem: Any, path: str, content: bytes, replace: bool) -> None:
        from fsspec.utils import get_protocol

        from edge.protocol.file_move import move_file

        if get_protocol(self.url) in ATOMIC_PROTOCOLS:
            filesystem.pipe_file(path, content)
            return
        folder = posixpath.dirname(path)
        filesystem.makedirs(folder, exist_ok=True)
        hidden = f"{folder}/.{posixpath.basename(path)}.part"
        filesystem.pipe_file(hidden, content)
        if replace and filesystem.exists(path):
            filesystem.rm_file(path)
        move_file(filesystem, hidden, path)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file of the landing zone; None if there is none.

        Raises:
            LandingError, Exception: as :meth:`put` does.
        """
        filesystem, root = self._filesystem()
        try:
            content: bytes = filesystem.cat_file(f"{root}/{name}")
        except (FileNotFoundError, PermissionError):  # or this device may only write there
            return None
        except OSError as error:
            if str(error).startswith("Forbidden"):  # so gcsfs says it
                return None
            raise
        return content

    def _filesystem(self) -> tuple[Any, str]:
        if self._mount and not (_is_folder(self._mount) and os.path.ismount(self._mount)):
            raise LandingError(f"{self._mount} is not mounted: mount it, or change landing.mount")
        if self._opened is None:
            self._opened = self._open()
        filesystem, root = self._opened
        if not _is_local(filesystem):
            filesystem.invalidate_cache()
        elif not _is_folder(root):
            raise LandingError(f"the landing folder {root} does not exist: create or mount it")
        return filesystem, root

    def _open(self) -> tuple[Any, str]:
        if os.path.isabs(self.url) and "::" not in self.url and not self._options:
            return _Folder(), self.url.rstrip("/")
        import fsspec

        try:
            filesystem, root = fsspec.core.url_to_fs(self.url, **self._options)
        except (ValueError, ImportError) as error:
            raise LandingError(
                f"cannot write to {self.url}: {error}; install the fsspec package for it"
            ) from error
        return filesystem, root.rstrip("/")


def _is_local(filesystem: Any) -> bool:
    return getattr(filesystem, "local_file", False)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:  # os.path.isdir would call it missing
        why = f"this user may not read the landing folder {path}"
        raise LandingError(f"{why}: let this user into every folder above it") from error
    except (OSError, ValueError):
        return False


def _sync_folders(folder: Path, root: Path) -> None:
    """Sync the names of a folder and those above it, so that they survive a power cut."""
    for below, above in pairwise((folder, *folder.parents)):
        if below == root:
            return
        sync_folder(above)

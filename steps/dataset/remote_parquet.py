"""Parquet on another machine, for Petastorm."""

import warnings
from typing import Any


def petastorm_filesystem(url: str) -> Any:
    """Return the file system that Petastorm reads a URL with; None: it finds its own.

    Petastorm 0.13.1 reads through Arrow's legacy dataset API, but passes fsspec's file systems,
    such as S3's, in a form that Arrow takes for the new API, which rejects Petastorm's arguments.
    """
    if url.startswith("file:"):
        return None
    import fsspec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the legacy API itself
        from pyarrow.filesystem import DaskFileSystem

        class Legacy(DaskFileSystem):  # type: ignore[misc]  # pyarrow has no types
            def isdir(self, path: str) -> bool:
                return bool(self.fs.isdir(path))

            def isfile(self, path: str) -> bool:
                return bool(self.fs.isfile(path))

        return Legacy(fsspec.core.url_to_fs(url)[0])

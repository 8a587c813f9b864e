"""Parquet elsewhere than on this machine, for Petastorm."""

import warnings
from typing import Any


def petastorm_filesystem(url: str) -> Any:
    """The file system that Petastorm is to read a URL with; None: it finds its own.

    Petastorm 0.13.1 reads through Arrow's legacy dataset API, but hands what fsspec knows, such as
    S3, to it in a form that Arrow takes for the new one, which then refuses Petastorm's arguments.
    """
    if url.startswith("file:"):
        return None
    import fsspec

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the legacy API as a whole
        from pyarrow.filesystem import DaskFileSystem

        class Legacy(DaskFileSystem):
            def isdir(self, path: str) -> bool:
                return self.fs.isdir(path)

            def isfile(self, path: str) -> bool:
                return self.fs.isfile(path)

        return Legacy(fsspec.core.url_to_fs(url)[0])

"""Single images out of data files that hold many, and how the page gets them."""

import io
import threading
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate

import fsspec
import pyarrow as pa
from pyarrow import parquet

from edge.inference.image import DRAFTED, as_rgb, open_image, upright

BLOCK_BYTES = 8 * 1024**2
"""Of images that are read at once: an image's neighbours are often asked for next."""

KEPT_BYTES = 64 * 1024**2
"""Of blocks that stay in memory."""

FILES = 256
"""Data files whose footers stay in memory."""

PLAIN = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
"""What every browser shows as it is."""

AS_IT_IS = 400_000
"""Bytes of an image that is not worth making smaller."""


class ImageContent:
    """The bytes of images in data files of a table, read by row.

    A row group has up to 16 MB of images. They are decoded in blocks, until the one that has the
    row; the last blocks stay in memory.

    Args:
        table: folder or URI.
    """

    def __init__(self, table: str):
        self._filesystem, self._root = fsspec.core.url_to_fs(table)
        self._files: OrderedDict[str, tuple[parquet.ParquetFile, list[int]]] = OrderedDict()
        self._blocks: OrderedDict[tuple[str, int, int], pa.Array] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, file: str, row: int) -> bytes:
        """Return the bytes of an image.

        Args:
            file: relative to the table.
            row: in the file.

        Raises:
            OSError: the file is gone, or cannot be read.
        """
        with self._lock:
            opened, starts = self._open(file)
            group = bisect_right(starts, row) - 1
            index = row - starts[group]
            column = opened.metadata.row_group(group)
            rows = _rows_at_once(column)
            key = (file, group, index // rows)
            if key not in self._blocks:
                batches = opened.iter_batches(rows, [group], ["content"], use_threads=False)
                for number, batch in zip(range(index // rows + 1), batches, strict=False):
                    self._blocks[file, group, number] = batch["content"]
                while self._kept() > KEPT_BYTES and len(self._blocks) > 1:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(key)
            content: bytes = self._blocks[key][index % rows].as_py()
        return content

    def _kept(self) -> int:
        return sum(block.nbytes for block in self._blocks.values())

    def _open(self, file: str) -> tuple[parquet.ParquetFile, list[int]]:
        if file not in self._files:
            stream = self._filesystem.open(f"{self._root}/{file}", "rb")
            opened = parquet.ParquetFile(stream, buffer_size=1024**2)
            counts = [opened.metadata.row_group(n).num_rows for n in range(opened.num_row_groups)]
            self._files[file] = opened, [0, *accumulate(counts)][:-1]
            if len(self._files) > FILES:
                self._files.popitem(last=False)[1][0].close(force=True)
        self._files.move_to_end(file)
        return self._files[file]


def _rows_at_once(group: parquet.RowGroupMetaData) -> int:
    columns = (group.column(number) for number in range(group.num_columns))
    size = next(c.total_uncompressed_size for c in columns if c.path_in_schema == "content")
    return max(1, int(BLOCK_BYTES / max(1, size / group.num_rows)))


def as_shown(content: bytes, side: int) -> tuple[bytes, str]:
    """Return an image as a browser shows it, and its MIME type.

    Args:
        content: the file's bytes.
        side: pixels of the longer side, at most; 0: all.

    Raises:
        edge.inference.errors.UnreadableError: it is none.
    """
    with open_image(content) as image:
        kind = PLAIN.get("JPEG" if image.format in DRAFTED else str(image.format))
        is_small = len(content) <= AS_IT_IS and side >= 1024
        if kind and (not side or is_small or max(image.size) <= side):
            return content, kind
        if side:
            image.draft("RGB", (side, side))
        image.load()
        shown = as_rgb(upright(image))
        if side:
            shown.thumbnail((side, side))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), "image/jpeg"

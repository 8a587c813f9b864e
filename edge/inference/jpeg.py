"""JPEG: whether the data of every scan is there, which the one decoding finds out.

libjpeg fills missing data with grey and counts a warning, which Pillow drops. Here it gets a scan
without the marker that follows: if data is missing, it waits for more, and leaves some unread.
"""

import re
from typing import Any, NamedTuple

from PIL import Image, ImageFile

from edge.inference.errors import IncompleteJpegError

CODEC = "complete_jpeg"

SEQUENTIAL, PROGRESSIVE = (b"\xff\xc0", b"\xff\xc1"), b"\xff\xc2"
RESTART_INTERVAL, START_OF_SCAN, END = b"\xff\xdd", b"\xff\xda", b"\xff\xd9"

MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends a scan's data; restart markers, bytes of 255 and fill bytes are part of it."""

BLOCK = 64
"""Coefficients of a component's block."""

RESTART = re.compile(rb"\xff[\xd0-\xd7]")

ONES = b"\xff\0"
"""A byte of ones, as a scan has it. No Huffman code is all ones: libjpeg takes 17 of them as one
symbol, so that hardly anything of what is missing is made up of them."""

READ_AHEAD = 8 * ONES
"""libjpeg decodes even the last symbol only if 57 bits are there."""


class Scan(NamedTuple):
    """A scan of a JPEG, whose data is there or missing.

    Attributes:
        content: the segments before it and its data, up to the next marker.
        components: the identifiers of those that it has coefficients of.
        coefficients: a bit for each of a block's 64 that it has.
        is_exact: whether these coefficients have all their bits after this scan.
        is_ended: whether a marker follows.
        missing_parts: the share of the parts between restart markers that are not there, 0–1.
    """

    content: memoryview
    components: bytes
    coefficients: int
    is_exact: bool
    is_ended: bool
    missing_parts: float


class Jpeg:
    """The scans of a JPEG, and what its header says of them.

    Attributes:
        size: (width, height) in pixels.
        samplings: each component's two sampling factors, by its identifier.
        scans: in their order.
    """

    def __init__(self, content: bytes):
        self.size = 0, 0
        self.samplings: dict[int, tuple[int, int]] = {}
        self.scans: list[Scan] = []
        self._content = content
        self._is_progressive = False
        self._interval = begin = 0
        place = 2
        while (marker := MARKER.search(content, place)) and marker[0] != END:
            place = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
            segment = content[marker.end() + 2 : place]
            if place > len(content):
                break  # and the scans that it announced are missing
            if marker[0] == START_OF_SCAN:
                begin = place = self._add_scan(segment, begin, place)
            elif marker[0] == RESTART_INTERVAL:
                self._interval = int.from_bytes(segment)
            elif marker[0] in (*SEQUENTIAL, PROGRESSIVE):
                self._is_progressive = marker[0] == PROGRESSIVE
                self.size = int.from_bytes(segment[3:5]), int.from_bytes(segment[1:3])
                factors = ((both >> 4, both & 15) for both in segment[7::3])
                self.samplings = dict(zip(segment[6::3], factors, strict=True))

    def _add_scan(self, segment: bytes, begin: int, data_begin: int) -> int:
        """Add the scan with a start segment, and return its end."""
        following = MARKER.search(self._content, data_begin)
        # a file that is being copied may have its length already, filled with zeros
        end = following.start() if following else len(self._content.rstrip(b"\0"))
        components = segment[1:-3:2]
        first, last, bits = segment[-3:] if self._is_progressive else (0, 63, 0)
        parts = self._count_parts(components)
        found = 1 + len(RESTART.findall(self._content, data_begin, end)) if parts > 1 else 1
        self.scans.append(
            Scan(
                memoryview(self._content)[begin:end],
                components,
                (2 << last) - (1 << first),
                is_exact=bits & 15 == 0,
                is_ended=following is not None,
                missing_parts=max(0, parts - found) / parts,
            )
        )
        return end

    def _count_parts(self, components: bytes) -> int:
        """Return in how many parts restart markers divide the data of a scan."""
        if not self._interval or not self.samplings:
            return 1
        # several components come in units of the largest one, a single one comes by its blocks
        own = self.samplings[components[0]] if len(components) == 1 else (1, 1)
        largest = map(max, zip(*self.samplings.values(), strict=True))
        columns, rows = (
            -(-pixels * factor // (8 * most))
            for pixels, factor, most in zip(self.size, own, largest, strict=True)
        )
        return -int(-columns * rows // self._interval)

    def missing_coefficients(self, scans: int) -> float:
        """Return the share of the coefficients that the first scans leave out, 0–1.

        One of which bits are left out counts as half.
        """
        known, exact = dict.fromkeys(self.samplings, 0), dict.fromkeys(self.samplings, 0)
        for scan in self.scans[:scans]:
            for component in known.keys() & scan.components:
                known[component] |= scan.coefficients
                exact[component] |= scan.coefficients
                if not scan.is_exact:
                    exact[component] ^= scan.coefficients
        found = sum(bits.bit_count() for bits in (*known.values(), *exact.values()))
        return 1 - found / (2 * BLOCK * len(known)) if known else 0


def require_complete(image: ImageFile.ImageFile, content: bytes) -> None:
    """Have a JPEG decoded only if all its data is there.

    Args:
        image: opened by Pillow, and not decoded yet.
        content: the bytes that it was opened from.

    Raises:
        IncompleteJpegError: scans, parts of one, or the end are missing. If the data of a scan is
            too short, decoding the image raises it.
    """
    jpeg = Jpeg(content)
    tile = image.tile[0]
    image.tile = [tile._replace(codec_name=CODEC, args=(*(tile.args or ()), jpeg))]
    if not all(scan.is_ended for scan in jpeg.scans):
        image.load()  # raises: as far as there is data
    if share := jpeg.missing_coefficients(len(jpeg.scans)):
        raise IncompleteJpegError(share, of="coefficients")
    if share := max((scan.missing_parts for scan in jpeg.scans), default=0):
        raise IncompleteJpegError(share, of="rows")


class _CompleteJpeg(ImageFile.PyDecoder):
    """Pillow's decoder of JPEG, given one scan after the other."""

    _pulls_fd = True  # it has the content already

    def decode(self, buffer: Any) -> tuple[int, int]:
        """Decode the image, and return -1 and the error of Pillow's decoder, 0 if there is none.

        Raises:
            IncompleteJpegError: the data of a scan is too short.
        """
        rawmode, tables, jpeg, *config = self.args
        decoder = Image._getdecoder(self.mode, "jpeg", (rawmode, tables), tuple(config))
        decoder.setimage(self.im, self.state.extents())
        for number, scan in enumerate(jpeg.scans):
            unread: bytes | memoryview = scan.content
            # If libjpeg happens to wait with nothing unread, it does not read another byte.
            for filler in (None, READ_AHEAD, ONES):
                if filler:
                    unread = bytes(unread) + filler
                taken, error = decoder.decode(unread)
                if taken < 0:
                    return taken, error
                unread = unread[taken:]
                if not scan.is_ended or (filler and unread):
                    of = "coefficients" if number else ""
                    raise IncompleteJpegError(jpeg.missing_coefficients(number), of)
        taken, error = decoder.decode(END)
        if taken >= 0:
            raise IncompleteJpegError
        return taken, error


Image.register_decoder(CODEC, _CompleteJpeg)

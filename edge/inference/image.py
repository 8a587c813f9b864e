"""An encoded image: how large it may be, which side is up, what is raised where it is damaged."""

import struct

from PIL import Image

MAX_PIXELS = 89_478_485
"""Of an image as it is stored, where Pillow too begins to warn of decompression bombs."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation; 1 is upright."""

SIDEWAYS = tuple(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))

EXIF_DAMAGE = (
    *(SyntaxError, struct.error, ValueError, TypeError, KeyError, IndexError, OSError),
    *(ArithmeticError, AttributeError),
)
"""What Pillow raises on damaged EXIF."""

DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error),
    *(IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError),
)
"""What Pillow's decoders raise on damaged bytes."""


def orientation_of(image: Image.Image) -> int:
    """An image's EXIF orientation, 1–8; 1 where it has none, or EXIF that cannot be read."""
    try:
        orientation = image.getexif().get(0x0112)
    except EXIF_DAMAGE:
        return 1
    return orientation if orientation in UPRIGHT else 1

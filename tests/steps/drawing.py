"""Small images from a seed, and how they are encoded."""

import io

import numpy as np
from PIL import Image

NAME = "2026-07-{day:02}T{hour:02}{colon}{minute:02}{colon}00_rpi_sensor_{device}_porch{label}.jpg"


def drawn(seed: int, mode: str = "RGB", size: tuple[int, int] = (33, 31)) -> Image.Image:
    """An image of coarse random tiles; its number of pixels is odd."""
    rng = np.random.default_rng(seed)
    bands = len(Image.new(mode, (1, 1)).getbands())
    tiles = rng.integers(0, 256, (4, 4, bands), np.uint8)
    pixels = np.kron(tiles, np.ones((8, 9, 1), np.uint8))[: size[1], : size[0]]
    return Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels, mode)


def encoded(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    """The bytes of an image's file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def jpeg(seed: int, **options) -> bytes:
    """The bytes of a small JPEG, another one for each seed."""
    return encoded(drawn(seed), **options)


def file_name(day=13, hour=0, minute=0, device="1", label="_0", colon="%3A") -> str:
    """A name that fits the pattern of the local profile."""
    return NAME.format(day=day, hour=hour, minute=minute, device=device, label=label, colon=colon)

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """An image without symmetry, and smooth, as photographs are."""
    row, column = np.mgrid[0:480, 0:640].astype(np.float32)
    bands = [
        128 + 120 * np.sin(row / 70 + column / 190),
        255 * column / 640,
        255 * (row / 480) ** 2,
    ]
    return Image.fromarray(np.stack(bands, axis=2).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def jpeg(scene) -> bytes:
    file = io.BytesIO()
    scene.save(file, "JPEG", quality=92)
    return file.getvalue()

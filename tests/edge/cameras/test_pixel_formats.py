import numpy as np
import pytest
from picamera2_stand_in import encoded
from PIL import Image

from edge.cameras.errors import CameraError
from edge.cameras.pixel_formats import buffer_to_rgb

EXACT = ["BGR888", "RGB888", "XBGR8888", "XRGB8888", "MJPEG"]
HALF_THE_COLOURS = ["YUV420", "YVU420", "NV12", "NV21", "YUYV"]


@pytest.fixture(scope="module")
def scene(simulated):
    frame = next(simulated.frames(1))
    return np.asarray(Image.fromarray(frame.pixels).resize((100, 62)))


@pytest.mark.parametrize("pixel_format", EXACT + HALF_THE_COLOURS)
@pytest.mark.parametrize("size", [(62, 100), (2, 2), (30, 64), (62, 98)])
def test_every_format_gives_the_same_image(scene, pixel_format, size):
    pixels = scene[: size[0], : size[1]]
    found = buffer_to_rgb(encoded(pixels, pixel_format, 128), pixel_format, size)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).mean() <= (0 if pixel_format in EXACT else 8)


def test_the_narrow_range_of_video_is_stretched():
    narrow = np.full((12, 8), 128, np.uint8)
    narrow[:4], narrow[4:8] = 16, 235
    found = buffer_to_rgb(narrow, "NV12", (8, 8), limited=True)
    assert found[0, 0].tolist() == [0, 0, 0] and found[7, 7].tolist() == [255, 255, 255]


def test_an_unknown_format_is_named():
    with pytest.raises(CameraError, match="UYVY"):
        buffer_to_rgb(np.zeros((2, 2, 2), np.uint8), "UYVY", (2, 2))

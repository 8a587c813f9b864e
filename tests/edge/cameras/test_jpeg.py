import io
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image

from edge.cameras.camera import Exposure, Frame
from edge.cameras.jpeg import add_exif, encode_jpeg, encode_pixels, encode_smaller
from edge.inference.errors import UnreadableError

TIME = datetime(2026, 7, 13, 3, 4, 54, tzinfo=timezone(timedelta(hours=2)))
PIXELS = np.full((48, 64, 3), 90, np.uint8)


def test_exif_has_camera_and_time():
    encoded = encode_jpeg(Frame(PIXELS, TIME, exposure=Exposure(0.02, 250)), "imx708")
    with Image.open(io.BytesIO(encoded)) as image:
        exif = image.getexif()
        assert image.format == "JPEG" and image.size == (64, 48)
    assert (exif[0x010F], exif[0x0110]) == ("RaspberryPi", "imx708")
    assert exif[0x0131] and exif[0x0132] == "2026:07:13 03:04:54"
    details = exif.get_ifd(0x8769)
    assert (details[0x9003], details[0x9011]) == ("2026:07:13 03:04:54", "+02:00")
    assert (float(details[0x829A]), details[0x8827]) == (0.02, 250)


def test_adding_exif_keeps_the_pixels():
    plain = encode_pixels(PIXELS)
    with Image.open(io.BytesIO(add_exif(plain, "imx708", TIME))) as image:
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(plain))))
    assert add_exif(plain, "imx708", TIME) == add_exif(plain, "imx708", TIME)


@pytest.mark.parametrize("shape", [(2, 65_501, 3), (70_000, 2, 3)], ids=str)
def test_what_is_longer_than_a_jpeg_can_be_is_unreadable(shape):
    with pytest.raises(UnreadableError, match=f"{shape[1]} × {shape[0]} pixels, a JPEG has at"):
        encode_pixels(np.zeros(shape, np.uint8))
    assert encode_pixels(np.zeros((2, 65_500, 3), np.uint8))


def test_an_unknown_time_is_left_out():
    with Image.open(io.BytesIO(add_exif(encode_pixels(PIXELS), "imx708", None))) as image:
        exif = image.getexif()
    assert exif[0x0110] == "imx708" and 0x0132 not in exif and 0x9003 not in exif.get_ifd(0x8769)


@pytest.mark.parametrize(
    ("size", "side", "smaller"),
    [((640, 480), 240, (240, 180)), ((100, 2000), 240, (12, 240)), ((64, 48), 240, (64, 48))],
)
@pytest.mark.parametrize("is_file", [False, True])
def test_a_smaller_image_keeps_its_shape_and_is_upright(size, side, smaller, is_file):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 2] = 200  # the upper half is bright
    image = pixels
    if is_file:  # on its side, as a phone stores it
        exif, file = Image.Exif(), io.BytesIO()
        exif[0x0112] = 6
        turned = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
        turned.save(file, "JPEG", exif=exif)
        image = file.getvalue()
    with Image.open(io.BytesIO(encode_smaller(image, side))) as opened:
        assert all(abs(a - b) <= 1 for a, b in zip(opened.size, smaller, strict=True))
        assert not opened.getexif()
        across, down = opened.size[0] // 2, opened.size[1] // 4
        assert opened.convert("L").getpixel((across, down)) > 180
        assert opened.convert("L").getpixel((across, 3 * down)) < 20


def test_what_is_no_image_has_no_smaller_one():
    with pytest.raises(UnreadableError, match="not an image"):
        encode_smaller(b"what is no image", 240)

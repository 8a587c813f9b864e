import io
from datetime import datetime, timedelta, timezone

import numpy as np
from PIL import Image

from edge.cameras.camera import Exposure, Frame
from edge.cameras.jpeg import add_exif, encode_jpeg, encode_pixels

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


def test_an_unknown_time_is_left_out():
    with Image.open(io.BytesIO(add_exif(encode_pixels(PIXELS), "imx708", None))) as image:
        exif = image.getexif()
    assert exif[0x0110] == "imx708" and 0x0132 not in exif and 0x9003 not in exif.get_ifd(0x8769)

"""Privacy masks: no pixel, thumbnail or further image shows what was there."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from edge.inference.errors import UnreadableError
from edge.inference.image import UPRIGHT, as_rgb, open_image, upright
from edge.inference.region import Region
from edge.protocol.privacy import blacken_file, blacken_pixels, masks_of

MASKS = [Region(0.1, 0.2, 0.3, 0.4), Region(0.8, 0, 0.2, 1)]
SIZE = (170, 110)
SECRET = (255, 60, 10)
"""The colour of what the masks hide, which is nowhere else."""


def scene(masks=MASKS, size=SIZE) -> Image.Image:
    """A noisy blue image, in which the masked areas alone are of the secret colour."""
    noise = np.random.default_rng(0).integers(60, 90, (size[1], size[0], 3), np.uint8)
    noise[..., 0], noise[..., 2] = 0, 90
    for area in areas(masks, size):
        noise[area] = SECRET
    return Image.fromarray(noise)


def areas(masks=MASKS, size=SIZE) -> list[tuple[slice, slice]]:
    sides = [np.array(list(map(round, np.array(mask) * [*size, *size]))) for mask in masks]
    return [(slice(y, y + h), slice(x, x + w)) for x, y, w, h in sides]


def encode(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def decode(content: bytes) -> np.ndarray:
    with open_image(content) as image:
        return np.asarray(as_rgb(upright(image)))


def shows_secret(pixels: np.ndarray) -> bool:
    return bool((pixels[..., 0] > 128).any())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"quality": 20}, {"progressive": True, "subsampling": 0}])
def test_a_jpeg_is_black_where_the_upright_image_has_masks(orientation, options):
    stored, back = scene(), UPRIGHT.get(orientation)
    if back is not None:  # all but two turns undo themselves
        turns = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
        stored = stored.transpose(turns.get(orientation, back))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(stored, exif=exif, **options)
    before, masked = decode(content), blacken_file(content, MASKS)
    after = decode(masked)
    assert shows_secret(before) and not shows_secret(after)
    assert after.shape == before.shape == (SIZE[1], SIZE[0], 3)
    for area in areas():
        assert after[area].max() <= 80 and np.median(after[area]) <= 16
    outside = np.abs(after[80:, 80:120].astype(int) - before[80:, 80:120])
    assert outside.mean() < 6  # the rest is as it was
    assert blacken_file(masked, MASKS) == masked


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_other_formats_become_a_png(format, mode):
    image = scene().convert(mode)
    if format in ("BMP", "WEBP") and mode == "P":
        image = image.convert("RGB")
    options = {"save_all": True, "append_images": [image]} if format in ("GIF", "TIFF") else {}
    masked = blacken_file(encode(image, format, **options), MASKS)
    with Image.open(io.BytesIO(masked)) as opened:
        assert opened.format == "PNG" and getattr(opened, "n_frames", 1) == 1
    for area in areas():
        assert decode(masked)[area].max() == 0
    assert blacken_file(masked, MASKS) == masked


def test_nothing_else_in_a_file_shows_what_was_there():
    thumbnail, exif = encode(scene().resize((40, 30))), Image.Exif()
    exif[ExifTags.Base.Model] = "imx708"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2026:07:13 12:30:05"
    details[ExifTags.Base.MakerNote] = thumbnail
    jpeg = encode(scene(), "MPO", exif=exif, save_all=True, append_images=[scene()])
    hidden = jpeg[:2] + b"\xff\xed" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + jpeg[2:]
    text = PngImagePlugin.PngInfo()
    text.add_text("thumbnail", thumbnail.hex())
    for content in (hidden, encode(scene(), "PNG", exif=exif, pnginfo=text)):
        assert thumbnail in content or thumbnail.hex().encode() in content
        masked = blacken_file(content, MASKS)
        assert thumbnail[-60:] not in masked and thumbnail.hex()[-60:].encode() not in masked
        with Image.open(io.BytesIO(masked)) as opened:
            assert getattr(opened, "n_frames", 1) == 1
            assert opened.getexif()[ExifTags.Base.Model] == "imx708"
            kept = opened.getexif().get_ifd(ExifTags.IFD.Exif)
        assert dict(kept) == {ExifTags.Base.DateTimeOriginal: "2026:07:13 12:30:05"}
        # black, with a thumbnail that is not: it is written again
        with_note = Image.open(io.BytesIO(masked)).convert("RGB")
        assert thumbnail[-60:] not in blacken_file(encode(with_note, exif=exif), MASKS)


def with_segment(jpeg: bytes, marker: bytes, data: bytes) -> bytes:
    return jpeg[:2] + marker + (len(data) + 2).to_bytes(2) + data + jpeg[2:]


def test_a_black_jpeg_with_something_else_to_show_is_written_again():
    thumbnail = encode(scene().resize((40, 30)))
    black = blacken_file(encode(scene()), MASKS)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageResources] = thumbnail
    jfif = b"JFIF\0\1\1\0\0\1\0\1\x28\x1e" + bytes(SECRET) * 40 * 30
    for content in (
        black + thumbnail,
        with_segment(black, b"\xff\xe0", jfif),
        with_segment(black, b"\xff\xe1", b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")),
    ):
        masked = blacken_file(content, MASKS)
        assert thumbnail[-60:] not in masked and bytes(SECRET) * 40 not in masked
        assert blacken_file(masked, MASKS) == masked


def test_a_dark_image_is_not_taken_for_a_masked_one():
    night = np.random.default_rng(0).integers(0, 12, (SIZE[1], SIZE[0], 3), np.uint8)
    masked = blacken_file(encode(Image.fromarray(night), quality=95), MASKS)
    assert decode(masked)[areas()[0]][4:-4, 4:-4].max() == 0


def test_pixels_of_a_camera_stay_black_when_they_are_encoded():
    pixels = np.asarray(scene())
    masked = blacken_pixels(pixels, MASKS)
    assert shows_secret(pixels) and all(masked[area].max() == 0 for area in areas())
    jpeg = encode(Image.fromarray(masked), quality=90)
    assert blacken_file(jpeg, MASKS) == jpeg  # ingest has nothing to do
    assert blacken_file(jpeg, [*MASKS, Region(0.5, 0.5, 0.1, 0.1)]) != jpeg


def test_what_cannot_be_decoded_is_refused():
    for content in (b"", b"text", encode(scene())[:-400]):
        with pytest.raises(UnreadableError):
            blacken_file(content, MASKS)


@pytest.mark.parametrize(
    ("device", "expected"), [("7", MASKS), ("8", MASKS[:1]), (None, MASKS[:1])]
)
def test_devices_have_their_own_masks_or_those_of_all(device, expected):
    assert masks_of({"7": MASKS, "": MASKS[:1]}, device) == expected
    assert masks_of({"7": MASKS}, "8") == []

import io
import struct
from functools import cache

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from edge.inference.prepare import prepare
from edge.inference.region import Region

SIZE = (64, 48)
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""Which transposition stores an upright image under an EXIF orientation."""


def encoded(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def difference(first, second) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_every_orientation_gives_the_same_image(scene, orientation, format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene.transpose(UNDO[orientation]) if orientation in UNDO else scene
    assert stored.size == ((640, 480) if orientation < 5 else (480, 640))
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    oriented = prepare(encoded(stored, format, exif=exif, **options), SIZE)
    upright = prepare(encoded(scene, format, **options), SIZE)
    # Turning a JPEG turns its blocks, which rounds otherwise; PNG is exact.
    assert difference(oriented, upright) <= (0.75 if format == "JPEG" else 0)


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [(2, 2, b"6\0\0\0"), (7, 4, b"abcd"), (3, 1, b"\x63\0\0\0"), (3, 0, b"\0\0\0\0")],
    ids=["text", "bytes", "99", "nothing"],
)
def test_a_meaningless_orientation_is_passed_over(scene, kind, count, value):
    tag = struct.pack("<HHHI4sI", 1, 0x0112, kind, count, value, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + tag
    jpeg = encoded(scene)
    with_exif = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    np.testing.assert_array_equal(prepare(with_exif, SIZE), prepare(jpeg, SIZE))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0XX*\0\x08\0\0\0",
        b"Exif\0\0II*\0\x08\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\xff\xff\0\0",
    ],
    ids=["no byte order", "truncated", "beyond its end", "a fraction that is not there"],
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_does_not_damage_the_image(scene, format, exif):
    options = {"lossless": True} if format == "WEBP" else {}
    if format == "JPEG":
        options["dpi"] = (72, 72)  # else Pillow looks into EXIF for it while it opens the file
    damaged = encoded(scene, format, exif=exif, **options)
    whole = encoded(scene, format, **options)
    np.testing.assert_array_equal(prepare(damaged, SIZE), prepare(whole, SIZE))


@pytest.mark.parametrize("size", [(480, 640), (2464, 3280), (128, 128), (30, 20)])
def test_the_reduced_decoding_is_close_to_the_full_one(scene, size):
    jpeg = encoded(scene.resize(size[::-1], Image.Resampling.BICUBIC), quality=92)
    full = Image.open(io.BytesIO(jpeg)).convert("RGB")
    full = full.resize(SIZE[::-1], Image.Resampling.BILINEAR)
    assert difference(prepare(jpeg, SIZE), np.asarray(full)) < 2.5


def test_a_large_jpeg_is_decoded_no_larger_than_needed(scene):
    jpeg = encoded(scene.resize((3280, 2464)))
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", SIZE[::-1])
        assert image.size == (410, 308)


@pytest.mark.parametrize(
    ("mode", "format", "tolerance"),
    [
        ("L", "PNG", 0),
        ("L", "JPEG", 2),
        ("RGBA", "PNG", 0),
        ("P", "PNG", 3),
        ("CMYK", "JPEG", 3),
        ("1", "PNG", 0),
        ("LA", "PNG", 0),
    ],
)
def test_every_mode_becomes_rgb(scene, mode, format, tolerance):
    stored = scene.convert("RGB").convert(mode)
    pixels = prepare(encoded(stored, format, **({"quality": 95} if format == "JPEG" else {})), SIZE)
    assert pixels.shape == (*SIZE, 3)
    expected = stored.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
    assert difference(pixels, np.asarray(expected)) <= tolerance


def test_sixteen_bits_keep_their_brightness(scene):
    grey = np.asarray(scene.convert("L"))
    stored = Image.fromarray(grey.astype(np.uint16) * 257)
    assert stored.mode == "I;16"
    expected = prepare(encoded(Image.fromarray(grey), "PNG"), SIZE)
    assert difference(prepare(encoded(stored, "PNG"), SIZE), expected) <= 1


def test_pixels_from_a_camera_are_resized_alike(scene):
    pixels = prepare(np.asarray(scene), SIZE)
    expected = prepare(encoded(scene, "PNG"), SIZE)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("size", [(480, 640), (640, 300), (480, 480)])
def test_a_crop_is_the_largest_part_around_the_centre(scene, size):
    height, width = size
    stored = scene.resize((width, height))
    scale = min(height / SIZE[0], width / SIZE[1])
    part = np.array((width, height)) / 2, np.array(SIZE[::-1]) * scale / 2
    box = (*(part[0] - part[1]), *(part[0] + part[1]))
    assert min(box[:2]) == pytest.approx(0) and max(box[:2]) > 0
    expected = np.asarray(stored.resize(SIZE[::-1], Image.Resampling.BILINEAR, box))
    cropped = prepare(encoded(stored, "PNG"), SIZE, "crop")
    np.testing.assert_array_equal(cropped, expected)
    np.testing.assert_array_equal(prepare(np.asarray(stored), SIZE, "crop"), expected)
    assert difference(cropped, prepare(encoded(stored, "PNG"), SIZE)) > 1
    # a JPEG is decoded at a scale that still covers the part
    assert difference(prepare(encoded(stored, quality=95), SIZE, "crop"), expected) < 2.5


def test_every_shape_can_be_cropped():
    for height in range(1, 400, 7):
        for width in (1, 3, 333, 399):
            pixels = np.full((height, width, 3), 9, np.uint8)
            for size in (SIZE, (224, 224)):
                assert (prepare(pixels, size, "crop") == 9).all()


def test_pixels_of_the_size_already_are_taken_as_they_are(scene):
    pixels = np.asarray(scene.resize(SIZE[::-1]))
    np.testing.assert_array_equal(prepare(pixels, SIZE), pixels)
    mirrored = pixels[:, ::-1]  # a view that onnxruntime could not read
    assert prepare(mirrored, SIZE).flags.c_contiguous
    np.testing.assert_array_equal(prepare(mirrored, SIZE), mirrored)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(ValueError, match="expected uint8"):
        prepare(pixels, SIZE)


REGIONS = {
    "a middle": Region(0.25, 0.5, 0.5, 0.25),
    "a corner": Region(0.7, 0.7, 0.3, 0.3),
    "a strip": Region(0, 0.4, 1, 0.1),
    "thirds": Region(1 / 3, 1 / 3, 2 / 3, 2 / 3),
    "less than a pixel of the reduced image": Region(0.5, 0.5, 0.001, 0.001),
    "all": Region(0, 0, 1, 1),
}


def cut_by_hand(scene: Image.Image, region: Region) -> bytes:
    """What somebody would cut out, as a PNG; whole pixels."""
    left, top = region.x * scene.width, region.y * scene.height
    right, bottom = left + region.width * scene.width, top + region.height * scene.height
    return encoded(scene.crop(tuple(round(edge) for edge in (left, top, right, bottom))), "PNG")


@pytest.fixture(scope="module")
def with_a_region(scene):
    """The scene of a size, a region, and what the region and the whole scene are prepared to."""
    region = REGIONS["a middle"]  # whole pixels at each size

    @cache
    def of(side: int, resizing: str):
        large = scene.resize((640 * side, 480 * side), Image.Resampling.BICUBIC)
        parts = (cut_by_hand(large, region), encoded(large, "PNG"))
        return large, region, *(prepare(part, SIZE, resizing) for part in parts)

    return of


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resizing", ["squash", "crop"])
@pytest.mark.parametrize(
    ("format", "side", "tolerance"),
    [("PNG", 1, 0.05), ("WEBP", 1, 0.05), ("TIFF", 1, 0.05), ("JPEG", 1, 2), ("JPEG", 4, 2.5)],
)
def test_a_region_is_cut_from_the_upright_image(
    with_a_region, format, side, tolerance, orientation, resizing
):
    scene, region, expected, whole = with_a_region(side, resizing)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene.transpose(UNDO[orientation]) if orientation in UNDO else scene
    options = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "JPEG": {"quality": 95}}[format]
    found = prepare(encoded(stored, format, exif=exif, **options), SIZE, resizing, region)
    # resizing a part reads a little beyond its edges
    assert difference(found, expected) <= tolerance
    assert difference(found, whole) > 5


@pytest.mark.parametrize("region", REGIONS.values(), ids=REGIONS)
@pytest.mark.parametrize("resizing", ["squash", "crop"])
def test_a_cameras_pixels_and_files_have_the_same_region(scene, region, resizing):
    pixels = prepare(np.asarray(scene), SIZE, resizing, region)
    np.testing.assert_array_equal(pixels, prepare(encoded(scene, "PNG"), SIZE, resizing, region))
    jpeg = prepare(encoded(scene, quality=95, subsampling=0), SIZE, resizing, region)
    assert difference(pixels, jpeg) < 2.5
    is_all = region == (0, 0, 1, 1)
    assert (difference(pixels, prepare(np.asarray(scene), SIZE, resizing)) == 0) == is_all


def test_pixels_of_the_size_already_are_cut_too(scene):
    pixels = np.asarray(scene.resize(SIZE[::-1]))
    region = REGIONS["a corner"]
    np.testing.assert_array_equal(
        prepare(pixels, SIZE, region=region),
        prepare(encoded(Image.fromarray(pixels), "PNG"), SIZE, region=region),
    )
    assert difference(prepare(pixels, SIZE, region=region), pixels) > 5


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("region", "scale"),
    [
        (Region(0, 0, 1, 1), 8),
        (Region(0.25, 0.25, 0.5, 0.5), 4),
        (Region(0.25, 0.5, 0.5, 0.25), 2),
        (Region(0.5, 0.25, 0.25, 0.5), 2),
        (Region(0.9, 0.9, 0.1, 0.1), 1),
    ],
)
def test_a_jpeg_is_decoded_as_large_as_its_region_needs(
    scene, monkeypatch, region, scale, orientation
):
    scene = scene.resize((640, 512)).transpose(UNDO.get(orientation, 0))
    if orientation == 1:
        scene = scene.transpose(0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    drafted = []
    monkeypatch.setattr(JpegImageFile, "draft", _noting(JpegImageFile.draft, drafted))
    prepare(encoded(scene, exif=exif), (64, 80), region=region)
    assert drafted == [tuple(side // scale for side in scene.size)]


def _noting(draft, drafted):
    def noting(image, mode, size):
        draft(image, mode, size)
        drafted.append(image.size)

    return noting


def test_every_region_of_every_shape_is_within_the_image():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        height, width = rng.integers(1, 400, 2)
        x, y = rng.random(2)
        region = Region.of([x, y, 1 - x, 1 - y])
        pixels = np.full((height, width, 3), 9, np.uint8)
        for resizing in ("squash", "crop"):
            assert (prepare(pixels, SIZE, resizing, region) == 9).all()

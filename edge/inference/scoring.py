"""The scoring core: the one place where an image becomes a number.

Training fills its cache through :func:`prepare`, Spark and REST score through
:class:`Scorer`, and so does the device: the same JPEG gets the same score in all of them.
"""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from edge.inference.image import DAMAGE, MAX_PIXELS, SIDEWAYS, UPRIGHT, orientation_of
from edge.inference.record import MODEL_FILE, ModelRecord

PREPARE_VERSION = "1"
"""Changes whenever :func:`prepare` computes other pixels: caches and models carry it."""


DRAFTED = ("JPEG", "MPO")
"""The formats that Pillow can decode smaller than they are."""


def prepare(image: bytes | str | os.PathLike | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Turn an image into the network's input.

    A JPEG is decoded at the smallest of its DCT scales (1, 1/2, 1/4, 1/8) that still covers
    ``size``, which skips most of the work for a large frame; the EXIF orientation is applied;
    the image is converted to RGB and resized (bilinear with antialiasing, the aspect ratio
    is not kept).

    Args:
        image: an encoded image as bytes, the path of one, or ``uint8 [h, w, 3]`` RGB pixels
            as a camera delivers them. Pixels of the wanted size already, as from a camera's
            second stream, are taken as they are, without a copy.
        size: (height, width) in pixels.

    Returns:
        ``uint8 [height, width, 3]``, RGB, 0–255.

    Raises:
        PIL.UnidentifiedImageError: the bytes are not an image.
        OSError: the image is truncated or cannot be read.
        ValueError: the array is not ``uint8 [h, w, 3]``.

    >>> prepare(np.zeros((480, 640, 3), np.uint8), (128, 128)).shape
    (128, 128, 3)
    """
    height, width = size
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"expected uint8 [h, w, 3], got {image.dtype} {list(image.shape)}")
        if image.shape[:2] == (height, width):
            return np.ascontiguousarray(image)
        return _resize(Image.fromarray(image), width, height)
    with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
        return _prepare_opened(opened, size)


class UnreadableError(ValueError):
    """The bytes are no image that can be scored; the message says why."""


MAX_BYTES = 32 * 1024 * 1024
"""Of an encoded image."""


def prepare_bytes(content: bytes, size: tuple[int, int]) -> np.ndarray:
    """:func:`prepare` for bytes from anyone, with one error for whatever is wrong with them.

    Raises:
        UnreadableError: they are no image, a damaged one, or one too large.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableError(f"too large: {len(content)} bytes, {MAX_BYTES} are the most")
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                return _prepare_opened(image, size)
    except Image.DecompressionBombError as error:
        raise UnreadableError(f"too large: {error}") from error
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image" if content else "empty") from error
    except DAMAGE as error:
        raise UnreadableError(f"damaged: {type(error).__name__}: {error}") from error
    raise UnreadableError(f"too large: {width} × {height} pixels, {MAX_PIXELS} are the most")


def _prepare_opened(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    if image.format not in DRAFTED:
        image.load()  # as a PNG does to look for EXIF: what is wrong with its pixels is told here
    upright = UPRIGHT.get(orientation_of(image))
    # the wanted size as the file stores it: some lie on their side
    image.draft("RGB", (height, width) if upright in SIDEWAYS else (width, height))
    if upright is not None:
        image = image.transpose(upright)
    return _resize(as_rgb(image), width, height)


def as_rgb(image: Image.Image) -> Image.Image:
    """An image as RGB of 8 bits, whatever its mode."""
    if image.mode == "RGB":
        return image  # converting would copy it
    if image.mode.startswith("I;16"):
        # Pillow's own conversion cuts off what is above 255, which leaves a white image.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _resize(image: Image.Image, width: int, height: int) -> np.ndarray:
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


class Scorer:
    """A released model, ready to score: onnxruntime over :func:`prepare`.

    Args:
        folder: holds ``model.onnx`` and ``record.json``.
        threads: onnxruntime's intra-op threads; 0 leaves the choice to onnxruntime.
        model_file: another network than ``model.onnx``, such as ``model.int8.onnx``.

    Raises:
        FileNotFoundError: a file is missing in ``folder``.
        edge.inference.record.RecordError: the record does not fit this code.

    Example::

        scorer = Scorer("models/current")
        probabilities = scorer.score(["porch.jpg"])
        label = scorer.record.labels[scorer.record.decide(probabilities)[0]]
    """

    def __init__(self, folder: str | os.PathLike, threads: int = 0, model_file: str = MODEL_FILE):
        import onnxruntime  # here, so that preparing an image loads no runtime

        folder = Path(folder)
        self.record = ModelRecord.read(folder)
        self.record.require_prepare(PREPARE_VERSION)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait for the next image by spinning would take a core for nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / model_file), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def score(self, images) -> np.ndarray:
        """Score images given as :func:`prepare` takes them.

        Returns:
            ``float32 [len(images), classes]``: probabilities in the order of ``record.labels``.
        """
        return self.score_prepared(
            np.stack([prepare(image, self.record.input_size) for image in images])
        )

    def score_prepared(self, pixels: np.ndarray) -> np.ndarray:
        """Score ``uint8 [N, H, W, 3]`` from :func:`prepare`; returns ``float32 [N, classes]``."""
        return self._session.run(None, {self._input: pixels})[0]

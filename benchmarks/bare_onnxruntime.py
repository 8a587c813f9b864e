"""The least that scores an image: ``python bare_onnxruntime.py MODEL.onnx IMAGE``.

What the device's agent is compared with; it checks nothing and turns no image upright.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


class Bare:
    """A network and no more; ``threads`` as :class:`edge.inference.scoring.Scorer` takes them."""

    def __init__(self, path: str, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0].name
        self.size = tuple(self.session.get_inputs()[0].shape[1:3])

    def decode(self, path: str) -> np.ndarray:
        """A JPEG file, decoded no larger than needed, and resized."""
        height, width = self.size
        with Image.open(path) as image:
            image.draft("RGB", (width, height))
            return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Score one prepared image."""
        return self.session.run(None, {self.input: pixels[None]})[0]


if __name__ == "__main__":
    bare = Bare(sys.argv[1])
    print(bare.run(bare.decode(sys.argv[2])), flush=True)

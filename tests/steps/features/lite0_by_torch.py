"""EfficientNet-Lite0 in PyTorch, layer by layer: what the network in Keras is compared with.

python lite0_by_torch.py <weights.pth> <pixels.npy> <features.npy>
"""

import sys

import numpy as np
import torch
from torch.nn import functional as F

FILTERS = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
SKIPS = (2, 4, 6, 7, 9, 10, 12, 13, 14)


def convolve(x, weights, name, norm, stride=1, activated=True):
    kernel = weights[f"{name}.weight"]
    size = kernel.shape[-1]
    # TensorFlow's SAME: the odd pixel of padding is below and to the right, PyTorch's above too
    across, down = (
        max((-(-n // stride) - 1) * stride + size - n, 0) for n in (x.shape[3], x.shape[2])
    )
    x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
    groups = x.shape[1] if kernel.shape[1] == 1 else 1
    x = F.conv2d(x, kernel, stride=stride, groups=groups)
    mean, variance, scale, offset = (
        weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    x = F.batch_norm(x, mean, variance, scale, offset, eps=1e-3)
    return F.relu6(x) if activated else x


def features(pixels, weights):
    x = convolve((pixels - 127) / 128, weights, "_conv_stem", "_bn0", stride=2)
    averages = []
    for number, (size, stride) in enumerate(zip(FILTERS, STRIDES, strict=True)):
        block, before = f"_blocks.{number}", x
        assert weights[f"{block}._depthwise_conv.weight"].shape[-1] == size
        if number:
            x = convolve(x, weights, f"{block}._expand_conv", f"{block}._bn0")
        x = convolve(x, weights, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        x = convolve(x, weights, f"{block}._project_conv", f"{block}._bn2", activated=False)
        if number in SKIPS:
            x = x + before
        if number in (10, 14, 15):
            averages.append(x.mean((2, 3)))
    x = convolve(x, weights, "_conv_head", "_bn1")
    return torch.cat([*averages, x.mean((2, 3))], 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    images = torch.from_numpy(np.load(sys.argv[2]).astype(np.float32).transpose(0, 3, 1, 2))
    with torch.no_grad():
        found = features(images, torch.load(sys.argv[1], map_location="cpu"))
    np.save(sys.argv[3], found.numpy())

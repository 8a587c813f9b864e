"""The head of a frozen network: a linear classifier that is trained on features in a cache.

In the network that is registered, its standardisation and its weights are one dense layer.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steps.dataset.cache import Cache
from steps.training.networks import CLASSIFIER, build_network
from steps.training.plan import Plan

if TYPE_CHECKING:
    import keras

PRIOR = 0.01
"""The variance that the weights are expected to have, in scikit-learn's terms C. The penalty is
constant against the sum of losses, so that it counts less the more images there are."""

LENGTH = 10
"""The mean squared length of the standardised features of an image: with it, the learning rates of
other networks fit."""

CONSTANT = 1e-3
"""The deviation below which a feature says nothing about the training images."""


def build_head(plan: Plan, cache: Cache) -> "keras.Model":
    """Build a multinomial logistic regression with an L2 penalty, from features to probabilities.

    Args:
        plan: says how many features are dropped in training.
        cache: the features.
    """
    import keras

    scale, offset = _standardisation(cache)
    penalty = LENGTH / len(scale) / (2 * PRIOR * cache.rows(cache.fitted))
    features = keras.Input((len(scale),), name="features")
    x = keras.layers.Rescaling(scale, offset, dtype="float32")(features)
    x = keras.layers.Dropout(plan.dropout, seed=plan.seed)(x)
    probabilities = keras.layers.Dense(
        len(cache.labels),
        activation="softmax",
        kernel_initializer="zeros",  # a feature that is constant in training has no weight
        kernel_regularizer=keras.regularizers.L2(penalty),
        name=CLASSIFIER,
        dtype="float32",
    )(x)
    return keras.Model(features, probabilities, name=f"{plan.network}_head")


def add_head(head: "keras.Model", plan: Plan, cache: Cache) -> "keras.Model":
    """Return the plan's network with a trained head: from pixels to probabilities."""
    network = build_network(plan, cache.input_size, len(cache.labels))
    scale, offset = _standardisation(cache)
    kernel, bias = head.get_layer(CLASSIFIER).get_weights()
    network.get_layer(CLASSIFIER).set_weights([kernel * scale[:, None], bias + offset @ kernel])
    return network


def _standardisation(cache: Cache) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what features are multiplied by, and what is added to them then."""
    scale = (LENGTH / len(cache.mean)) ** 0.5 / np.maximum(cache.deviation, CONSTANT)
    return scale, -np.array(cache.mean) * scale

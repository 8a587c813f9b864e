"""The head of a frozen network: it is a logistic regression, and folds into the network."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from small_cache import overlapping, write_features

from steps.training.fit import fit
from steps.training.head import PRIOR, add_head
from steps.training.model import build_model
from steps.training.networks import CLASSIFIER, build_backbone
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

PLAN = Plan(network="efficientnet_lite0", dropout=0, epochs=30)
SIZE = (32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("class_weights", [True, False])
def test_the_head_learns_what_a_solver_finds(tmp_path, class_weights):
    features, classes = overlapping(400)
    cache = write_features(tmp_path, features, classes, SIZE)
    plan = replace(PLAN, class_weights=class_weights)
    result = fit(plan, cache, SingleProcess())
    head = build_model(plan, cache)
    head.set_weights(result.weights)
    found = np.asarray(head(features))
    standard = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-3)
    # a softmax of two classes has two weights a feature, each of half the size
    solver = LogisticRegression(C=2 * PRIOR, class_weight="balanced" if class_weights else None)
    expected = solver.fit(standard, classes).predict_proba(standard)
    assert np.abs(found - expected).max() < 0.03
    assert expected[:, 1].std() > 0.1
    # a feature that is constant in training says nothing, whatever it is later
    other = features.copy()
    other[:, 0] = 0
    np.testing.assert_allclose(np.asarray(head(other)), found, atol=1e-6)


def test_the_head_folds_into_the_network(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (6, *SIZE, 3), np.uint8)
    features = np.asarray(build_backbone(PLAN, SIZE)(pixels, training=False))
    cache = write_features(tmp_path, features, np.array([0, 1] * 3), SIZE)
    head = build_model(PLAN, cache)
    keras.utils.set_random_seed(0)
    weights = [np.random.normal(size=w.shape) for w in head.get_layer(CLASSIFIER).get_weights()]
    head.get_layer(CLASSIFIER).set_weights(weights)
    expected = np.asarray(head(features, training=False))
    network = add_head(head, PLAN, cache)
    assert expected[:, 0].std() > 0.1
    assert network.input_shape == (None, *SIZE, 3) and network.inputs[0].dtype == "uint8"
    np.testing.assert_allclose(np.asarray(network(pixels, training=False)), expected, atol=1e-5)

"""Clusters, novelty and proposals, on features that fall into groups."""

import numpy as np
import pytest

from steps.labelling.similarity import distance_to_nearest, find_clusters, fit_head, project

GROUPS, EACH, WIDTH = 4, 25, 300


@pytest.fixture(scope="module")
def grouped() -> np.ndarray:
    """Features of four groups of images, one after the other."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((GROUPS, WIDTH)) * 3
    values = np.repeat(centres, EACH, axis=0) + rng.standard_normal((GROUPS * EACH, WIDTH))
    return (values / np.sqrt((values**2).sum(axis=1).mean())).astype(np.float32)


def test_no_cluster_has_images_of_two_groups_and_each_has_one_most_typical_image(grouped):
    clusters = find_clusters(grouped)
    for cluster in range(len(clusters.sizes)):
        those = np.flatnonzero(clusters.of == cluster)
        assert len(set(those // EACH)) <= 1
        assert sorted(clusters.rank[those]) == list(range(len(those)))
    assert clusters.sizes.sum() == GROUPS * EACH
    again = find_clusters(grouped)
    assert (again.of == clusters.of).all()


def test_what_is_unlike_the_known_images_is_far_from_them(grouped):
    known = np.arange(GROUPS * EACH) % EACH < 3
    known[3 * EACH :] = False  # nothing is known of the last group
    distances = distance_to_nearest(grouped, known)
    assert set(np.argsort(-distances)[:EACH]) == set(range(3 * EACH, 4 * EACH))
    assert distances[known].max() < 0.02
    assert np.isfinite(distance_to_nearest(grouped, np.zeros(len(grouped), bool))).all()


def test_a_few_labels_of_each_group_label_the_rest(grouped):
    truth = np.repeat([0, 1, 0, 7], EACH)
    known = np.arange(len(truth)) % EACH < 3
    classes, shares = fit_head(grouped[known], truth[known]).propose(grouped)
    assert (classes == truth).all() and (shares > 1 / 3).all() and (shares <= 1).all()


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 1, 2]])
def test_without_two_classes_of_two_images_nothing_is_proposed(grouped, labels):
    assert fit_head(grouped[: len(labels)], np.array(labels, np.int32)) is None


def test_a_projection_keeps_distances(grouped):
    pairs = grouped[:50] - grouped[50:]
    ratio = np.linalg.norm(project(pairs), axis=1) / np.linalg.norm(pairs, axis=1)
    assert ratio.shape == (50,) and ratio.min() > 0.5 and ratio.max() < 1.6

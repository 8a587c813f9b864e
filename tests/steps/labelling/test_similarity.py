"""Clusters, novelty and projections, on features that fall into groups."""

import numpy as np

from steps.labelling.similarity import distance_to_nearest, find_clusters, project

GROUPS, EACH = 4, 25
"""Of the fixture ``grouped``."""


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


def test_a_projection_keeps_distances(grouped):
    pairs = grouped[:50] - grouped[50:]
    ratio = np.linalg.norm(project(pairs), axis=1) / np.linalg.norm(pairs, axis=1)
    assert ratio.shape == (50,) and ratio.min() > 0.5 and ratio.max() < 1.6

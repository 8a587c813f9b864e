"""The head that proposes labels, on features that fall into groups."""

import numpy as np
import pytest

from steps.labelling.proposals import fit_head


def test_a_few_labels_of_each_group_label_the_rest(grouped):
    truth = np.repeat([0, 1, 0, 7], len(grouped) // 4)
    known = np.arange(len(truth)) % (len(grouped) // 4) < 3
    classes, shares = fit_head(grouped[known], truth[known]).propose(grouped)
    assert (classes == truth).all() and (shares > 1 / 3).all() and (shares <= 1).all()


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 1, 2]])
def test_without_two_classes_of_two_images_nothing_is_proposed(grouped, labels):
    assert fit_head(grouped[: len(labels)], np.array(labels, np.int32)) is None

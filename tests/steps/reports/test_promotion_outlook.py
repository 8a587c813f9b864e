"""What is said before a training whose network cannot be promoted."""

import pytest
from mlflow import MlflowClient
from small_cache import write_cache

from steps.pipeline.report import Report
from steps.reports.promotion_outlook import warn_of_refusal
from steps.settings.profile import load_profile

WISH = {"min_accuracy": 0.9}
TRAIN = {"train": [12] * 4, "validation": [10]}


@pytest.mark.parametrize(
    ("test_images", "has_champion", "rules", "said"),
    [
        (14, False, WISH, "14 test images are too few for promotion, which needs 25 even if all "
         "are correct: add about 57 labelled images;"),
        (25, False, WISH, ""),
        (10, False, {}, ""),
        (8, False, {}, "8 test images are too few for a first model, which needs 10 even if all "
         "are correct: add about 17 labelled images;"),
        (25, True, WISH, "25 test images are too few for a comparison with the champion, which "
         "needs 52 even if all are correct: add about 90 labelled images;"),
        (14, True, WISH | {"max_regression": 0.5}, "14 test images are too few for promotion, "
         "which needs 25"),
        (52, True, {}, ""),
        (2, True, {"max_regression": 0.0}, ""),
    ],
)  # fmt: skip
def test_a_test_split_that_cannot_pass_is_said(
    store, tmp_path, caplog, test_images, has_champion, rules, said
):
    cache = write_cache(tmp_path / "cache", TRAIN | {"test": [test_images]})
    profile = load_profile("local")
    promotion = profile.promotion.model_copy(update=rules)
    if has_champion:
        client = MlflowClient()
        client.create_registered_model("shoes")
        client.create_model_version("shoes", "file:///one")
        client.set_registered_model_alias("shoes", "champion", "1")
    report = Report("train", "1" * 32)
    named = profile.model_copy(update={"promotion": promotion})
    warn_of_refusal(report, cache, named, "file:/shoes", is_cross_validated=False)
    assert len(caplog.messages) == len(report.sections) == bool(said)
    assert all(said in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("is_cross_validated", "rules", "said"),
    [
        (True, {}, ""),
        (False, {}, "4 test images are too few for a first model"),
        (True, {"min_accuracy": 0.9}, ""),
        (True, {"min_accuracy": 0.99}, "62 labelled images are too few for promotion, which needs "
         "268 even if all are correct: add about 206 labelled images"),
    ],
)  # fmt: skip
def test_a_first_model_that_is_cross_validated_needs_no_test_images_of_its_own(
    store, tmp_path, caplog, is_cross_validated, rules, said
):
    cache = write_cache(tmp_path / "cache", TRAIN | {"test": [4]})
    profile = load_profile("local")
    promotion = profile.promotion.model_copy(update=rules)
    named = profile.model_copy(update={"promotion": promotion})
    warn_of_refusal(Report("train", "1" * 32), cache, named, "file:/shoes", is_cross_validated)
    assert len(caplog.messages) == bool(said)
    assert all(said in message for message in caplog.messages)

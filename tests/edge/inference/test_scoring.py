import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageOps
from tiny_model import probabilities, write_model

from edge.inference.errors import RecordError, UnreadableError
from edge.inference.prepare import prepare
from edge.inference.record import ModelRecord
from edge.inference.region import Region
from edge.inference.scoring import Scorer

SIZE = (64, 48)


def test_bytes_path_and_scorer_agree(jpeg, tmp_path, model_folder):
    path = tmp_path / "scene.jpg"
    path.write_bytes(jpeg)
    pixels = prepare(jpeg, SIZE)
    assert pixels.shape == (*SIZE, 3) and pixels.dtype == np.uint8
    for same in (path, str(path)):
        np.testing.assert_array_equal(prepare(same, SIZE), pixels)
    scorer = Scorer(model_folder)
    scores = probabilities(scorer, [jpeg, path, str(path)])
    assert scores.shape == (3, 2) and scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(scores, scorer.score_prepared(np.stack([pixels] * 3)))


def test_a_scorer_prepares_as_its_record_says(jpeg, model_folder, tmp_path):
    by_shape = probabilities(Scorer(model_folder), [jpeg])
    folder = shutil.copytree(model_folder, tmp_path / "model")
    replace(ModelRecord.read(folder), resizing="crop").write(folder)
    scorer = Scorer(folder)
    cropped = probabilities(scorer, [jpeg])
    expected = scorer.score_prepared(prepare(jpeg, SIZE, "crop")[None])
    np.testing.assert_array_equal(cropped, expected)
    assert not np.array_equal(cropped, by_shape)


def test_a_scorer_takes_the_region_of_the_device(scene, jpeg, model_folder, tmp_path):
    regions = {"7": Region(0, 0, 0.5, 0.5), "": Region(0.5, 0.5, 0.5, 0.5)}
    folder = shutil.copytree(model_folder, tmp_path / "model")
    replace(ModelRecord.read(folder), regions=regions).write(folder)
    scorer = Scorer(folder)
    found = scorer.predict_each([jpeg, b"", jpeg, np.asarray(scene)], ["7", "7", None, "8"])
    assert isinstance(found[1], UnreadableError)
    frame = np.asarray(scene)
    for one, image, device in ((found[0], jpeg, "7"), (found[2], jpeg, ""), (found[3], frame, "")):
        pixels = prepare(image, SIZE, region=regions[device])
        (expected,) = scorer.score_prepared(pixels[None]).tolist()
        assert list(one.probabilities.values()) == pytest.approx(expected)
        assert scorer.predict([image], device)[0].probabilities == pytest.approx(one.probabilities)
    assert found[0].probabilities != found[2].probabilities


@pytest.mark.parametrize(("grey", "label"), [(0, "dark"), (100, "dark"), (180, "bright")])
def test_a_scorer_names_the_class(model_folder, grey, label):
    scorer = Scorer(model_folder)
    (prediction,) = scorer.predict([np.full((30, 20, 3), grey, np.uint8)])
    assert prediction.label == label and prediction.score == prediction.probabilities[label]
    logits = np.array([-1, 1]) * 0.05 * (grey - 127.5)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(list(prediction.probabilities.values()), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda jpeg: b"", "empty"),
        (lambda jpeg: b"no image", "not an image"),
        (lambda jpeg: jpeg[:10], "truncated"),
        (lambda jpeg: jpeg[: len(jpeg) // 2], "truncated"),
    ],
)
def test_damaged_bytes_are_unreadable_alone_and_in_a_batch(jpeg, model_folder, damage, reason):
    good, bad = jpeg, damage(jpeg)
    for fails in (lambda: prepare(bad, SIZE), lambda: Scorer(model_folder).predict([good, bad])):
        with pytest.raises(UnreadableError) as caught:
            fails()
        assert caught.value.reason == reason
    first, unreadable, last = Scorer(model_folder).predict_each([good, bad, good])
    assert unreadable.reason == reason and first.probabilities == last.probabilities
    assert first.latency_ms > 0 and last.latency_ms > 0


def test_no_images_have_no_predictions(model_folder):
    assert Scorer(model_folder).predict([]) == []


@pytest.mark.parametrize("broken", [np.float32([[np.nan, 1]]), np.float32([[1]])])
def test_a_network_without_probabilities_is_no_fault_of_the_image(model_folder, broken):
    scorer = Scorer(model_folder)
    scorer.score_prepared = lambda pixels: broken
    with pytest.raises(ValueError, match="are not probabilities of 2 classes") as caught:
        scorer.predict([np.zeros((*SIZE, 3), np.uint8)])
    assert not isinstance(caught.value, UnreadableError)


def test_a_missing_model_raises(tmp_path):
    with pytest.raises(FileNotFoundError):
        Scorer(tmp_path)


def test_a_model_for_another_prepare_is_refused(tmp_path):
    with pytest.raises(RecordError, match="update the edge folder"):
        Scorer(write_model(tmp_path / "model", prepare_version="0"))


def test_one_thread_gives_the_same_scores(scene, model_folder):
    images = [np.asarray(scene), np.asarray(ImageOps.invert(scene))]
    np.testing.assert_array_equal(
        probabilities(Scorer(model_folder), images),
        probabilities(Scorer(model_folder, threads=1), images),
    )

"""Batches of numbered images, counted over ranks and epochs as Petastorm reads them."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from small_cache import numbered, write_cache

from steps.dataset.batches import MIXED_GROUPS, Batch, Shard

GROUPS = {
    "train": [3] * 5 + [2] * 7,  # twelve groups, unequal to within one
    "validation": [4] * 7,  # neither two nor three ranks share them evenly
    "test": [6, 5, 5],
}
FIRST = {"train": 0, "validation": 29, "test": 57}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return write_cache(tmp_path_factory.mktemp("numbered") / "cache", GROUPS, labels=tuple("abc"))


def _numbers(batches: list[Batch], weight: int = 1) -> list[int]:
    """The images that count (or those that pad), in the order in which they came."""
    return [
        int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1])
        for batch in batches
        for pixels, image_weight in zip(batch.inputs, batch.weights, strict=True)
        if image_weight == weight
    ]


def _all(split: str) -> list[int]:
    return list(range(FIRST[split], FIRST[split] + sum(GROUPS[split])))


@pytest.mark.slow
@pytest.mark.parametrize("split", GROUPS)
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_image_comes_once_an_epoch_in_equally_many_steps(cache, split, ranks, batch_size):
    shards = [Shard(cache, split, batch_size, rank, ranks) for rank in range(ranks)]
    for seed in (None, 0, 1, 20_007):
        epochs = [list(shard.epoch(seed)) for shard in shards]
        assert {len(epoch) for epoch in epochs} == {shards[0].steps()}
        numbers = [number for epoch in epochs for number in _numbers(epoch)]
        assert sorted(numbers) == _all(split)


@pytest.mark.parametrize(("ranks", "batch_size"), [(1, 4), (2, 8), (3, 5)])
def test_a_batch_is_full_and_its_padding_repeats_real_images(cache, ranks, batch_size):
    padding = 0
    for rank in range(ranks):
        own = list(Shard(cache, "train", batch_size, rank, ranks).epoch(3))
        for batch in own:
            assert batch.inputs.shape == (batch_size, 4, 4, 3)
            assert batch.classes.shape == batch.weights.shape == (batch_size,)
            dtypes = batch.inputs.dtype, batch.classes.dtype, batch.weights.dtype
            assert dtypes == (np.uint8, np.int32, np.float32)
            assert list(batch.weights) == sorted(batch.weights, reverse=True)
            numbers = [*_numbers([batch], 1), *_numbers([batch], 0)]
            for number, pixels, class_ in zip(numbers, batch.inputs, batch.classes, strict=True):
                expected, expected_class = numbered(number, (4, 4), 3)
                np.testing.assert_array_equal(pixels, expected)
                assert class_ == expected_class
        assert set(_numbers(own, 0)) <= set(_numbers(own, 1))
        padding += len(_numbers(own, 0))
    steps = Shard(cache, "train", batch_size, 0, ranks).steps()
    assert padding == steps * batch_size * ranks - len(_all("train")) > 0


def test_a_rank_with_fewer_images_ends_with_batches_of_padding(tmp_path):
    cache = write_cache(tmp_path / "uneven", {"train": [9, 1]})
    epochs = [list(Shard(cache, "train", 2, rank, 2).epoch(0)) for rank in range(2)]
    assert [len(epoch) for epoch in epochs] == [5, 5]
    assert sorted(len(_numbers(epoch)) for epoch in epochs) == [1, 9]
    short = min(epochs, key=lambda epoch: len(_numbers(epoch)))
    assert [batch.weights.sum() for batch in short] == [1, 0, 0, 0, 0]


def test_a_rank_without_images_pads_with_those_of_another(tmp_path):
    cache = write_cache(tmp_path / "few", {"train": [2, 1]})
    epochs = [list(Shard(cache, "train", 1, rank, 3).epoch(0)) for rank in range(3)]
    assert [len(epoch) for epoch in epochs] == [2, 2, 2]
    assert sorted(number for epoch in epochs for number in _numbers(epoch)) == [0, 1, 2]
    assert _numbers(epochs[2]) == [] and set(_numbers(epochs[2], weight=0)) <= {0, 1, 2}


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_seed_is_an_order(cache, ranks):
    def order(seed: int | None) -> list[list[int]]:
        return [
            _numbers(list(Shard(cache, "train", 4, rank, ranks).epoch(seed)))
            for rank in range(ranks)
        ]

    seeds = [0, 1, 2, 10_000, 10_001]
    orders = [order(seed) for seed in seeds]
    assert [order(seed) for seed in seeds] == orders
    assert len({str(numbers) for numbers in [*orders, order(None)]}) == len(seeds) + 1


def test_without_a_seed_the_order_is_that_of_the_cache(cache):
    for split in ("validation", "test"):  # of fewer than ten groups, whose names sort as numbers do
        assert _numbers(list(Shard(cache, split, 4).epoch(None))) == _all(split)


@pytest.mark.parametrize(("ranks", "seed"), [(1, 0), (2, 3), (1, None)])
def test_an_epoch_of_several_passes_has_each_image_so_often(cache, ranks, seed):
    shards = [Shard(cache, "train", 4, rank, ranks, passes=3) for rank in range(ranks)]
    epochs = [list(shard.epoch(seed)) for shard in shards]
    assert {len(epoch) for epoch in epochs} == {shards[0].steps()}
    counts = Counter(_numbers([batch for epoch in epochs for batch in epoch]))
    assert sorted(counts) == sorted(_all("train")) and set(counts.values()) == {3}


@pytest.mark.parametrize("seed", [0, 5])
def test_rows_are_shuffled_within_row_groups_and_across_them(cache, seed):
    numbers = _numbers(list(Shard(cache, "train", 29).epoch(seed)))
    groups = np.repeat(range(12), GROUPS["train"])
    borders = np.cumsum([0, *(rows for rows in GROUPS["train"])])
    in_order = [list(range(a, b)) for a, b in pairwise(borders)]
    runs = 1 + np.count_nonzero(np.diff(groups[numbers]))
    assert runs > len(in_order)  # else each row group would come in one piece
    assert len(set(groups[numbers[: 2 * MIXED_GROUPS]])) > 2


def test_each_position_of_an_epoch_gets_many_images(cache):
    epochs = [_numbers(list(Shard(cache, "test", 16).epoch(seed))) for seed in range(30)]
    for place in zip(*epochs, strict=True):
        assert Counter(place).most_common(1)[0][1] < 12  # of 16 images, two by chance

"""Spark's workers begin with what they are to import."""

import sys

import pytest

from steps.lake.workers import importing_workers


@pytest.mark.slow
def test_workers_have_the_modules_within_the_block(lake):
    def has_module() -> bool:
        rows = lake.spark.sparkContext.parallelize([0], 1)
        return rows.map(lambda _: "tabnanny" in sys.modules).collect()[0]

    with importing_workers(lake.spark, "tabnanny"):
        assert has_module()
    assert not has_module()

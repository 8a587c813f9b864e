"""The profile's Spark settings replace the project's, and extend its lists."""

import pytest

from steps.lake.spark_settings import _merge

OWN = {"spark.jars": "/a.jar,/b.jar", "spark.driver.extraJavaOptions": "-Da=1", "spark.x": "1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, OWN),
        ({"spark.x": "2", "spark.y": "3"}, OWN | {"spark.x": "2", "spark.y": "3"}),
        ({"spark.jars": "/mine.jar"}, OWN | {"spark.jars": "/a.jar,/b.jar,/mine.jar"}),
        (
            {"spark.driver.extraJavaOptions": "-Xss4m"},
            OWN | {"spark.driver.extraJavaOptions": "-Da=1 -Xss4m"},
        ),
    ],
)
def test_a_profile_adds_to_lists_and_replaces_the_rest(given, expected):
    assert _merge(OWN, given) == expected

"""A file whose name is not UTF-8 is quarantined, and the other files are ingested."""

import os

import pytest
from drawing import file_name, jpeg
from small_lake import make_small_lake

pytestmark = pytest.mark.slow


def test_a_name_that_is_not_utf_8_is_quarantined_and_the_rest_is_ingested(lake, tmp_path):
    small = make_small_lake(lake, tmp_path)
    small.put({file_name(): jpeg(1)})
    (small.zone / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(2))
    assert small.ingest() == 2
    assert small.table("images")["name"].tolist() == [file_name()]
    [kept] = small.table("quarantine").to_dict("records")
    assert (kept["name"], kept["reason"]) == ("caf?.jpg", "gone")
    assert small.ingest() == 0

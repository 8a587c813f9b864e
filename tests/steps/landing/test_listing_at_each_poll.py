"""What a poll cannot list is said once, and a continuous ingest continues."""

import logging

import pytest
from drawing import jpeg

from steps.errors import UserError
from steps.landing.polling import list_at_each_poll


def test_a_poll_that_cannot_list_the_zone_is_said_once_and_left_out(tmp_path, caplog):
    zone, away = tmp_path / "zone", tmp_path / "away"
    zone.mkdir()
    (zone / "a.jpg").write_bytes(jpeg(1))
    (zone / "b.heic").write_bytes(b"1")

    def numbers():
        yield 0
        yield 1
        zone.rename(away)  # as a share that is not mounted for a while
        yield 2
        yield 3
        (away / "gone.jpg").symlink_to("nothing")
        away.rename(zone)
        yield 4
        yield 5

    with caplog.at_level(logging.WARNING, "steps"):
        listed = list_at_each_poll(str(zone), numbers())
        polls = [(number, len(found.files)) for number, _, found in listed]
    assert polls == [(0, 1), (1, 1), (4, 1), (5, 1)]
    said = [record.getMessage() for record in caplog.records]
    assert ["left out: 1 .heic" in text for text in said] == [True, False, True, False]
    assert "is not a folder" in said[1] and said[1].endswith("the next poll tries again")
    assert said[3] == f"{zone}/gone.jpg is not read: a link to no file"


def test_the_first_poll_has_to_list_the_zone(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        next(list_at_each_poll(str(tmp_path / "missing"), iter([0])))

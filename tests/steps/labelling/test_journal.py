"""The journal: what is acknowledged survives, and what is not is not there."""

import os
import resource
from datetime import UTC, datetime

import pytest

from steps.errors import UserError
from steps.ingestion.label_rows import LabelRow
from steps.labelling.journal import Journal, JournalError

AT = datetime(2026, 7, 13, 1, 2, 3, 4, UTC)


def row(number: int, label: str | None = "1") -> LabelRow:
    return LabelRow(f"{number:032x}", "ab" * 32, label, "ann", "key", AT)


def test_rows_are_there_again_after_the_process_has_ended(tmp_path):
    rows = [row(1), row(2, None), row(3, 'Tür "1"\u2028')]
    journal = Journal(tmp_path)
    journal.append(rows[:2])
    journal.append(rows[2:])
    journal.close()
    again = Journal(tmp_path)
    assert again.rows == rows
    again.clear()
    again.close()
    assert Journal(tmp_path).rows == []


@pytest.mark.parametrize("torn", [b"[", b'["00', b'["00","ab","1","ann","key"'])
def test_a_line_that_was_being_written_when_the_process_died_is_left_out(tmp_path, torn):
    journal = Journal(tmp_path)
    journal.append([row(1)])
    journal.close()
    with (tmp_path / "labels.jsonl").open("ab") as file:
        file.write(torn)
    again = Journal(tmp_path)
    assert again.rows == [row(1)]
    again.append([row(2)])
    again.close()
    assert Journal(tmp_path).rows == [row(1), row(2)]


@pytest.mark.parametrize("line", [b"{}\n", b"nothing\n", b"[1, 2]\n", b"\n"])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "labels.jsonl").write_bytes(line)
    with pytest.raises(UserError, match=r"line 1 of .*labels\.jsonl is damaged"):
        Journal(tmp_path)


def test_on_a_full_disk_nothing_of_a_label_stays(tmp_path):
    journal = Journal(tmp_path)
    journal.append([row(1)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal._size + 20, before[1]))
    try:
        with pytest.raises(JournalError, match=r"labels\.jsonl: File too large"):
            journal.append([row(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert journal.rows == [row(1)]
    journal.append([row(3)])
    journal.close()
    assert Journal(tmp_path).rows == [row(1), row(3)]


def test_a_second_page_on_one_lake_says_where_the_first_is(tmp_path):
    journal = Journal(tmp_path)
    journal.show("http://127.0.0.1:1/token/")
    with pytest.raises(UserError, match=r"at http://127\.0\.0\.1:1/token/; use that one"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()


@pytest.mark.skipif(os.getuid() != 0, reason="NOT PROVEN HERE: only root can be another user")
def test_another_users_journal_is_an_error_of_one_line(tmp_path):
    Journal(tmp_path / "home").close()
    tmp_path.chmod(0o755)
    (tmp_path / "home").chmod(0o755)
    os.seteuid(65534)
    try:
        for folder in (tmp_path / "home", tmp_path / "new"):
            with pytest.raises(UserError, match="cannot be written"):
                Journal(folder)
    finally:
        os.seteuid(0)

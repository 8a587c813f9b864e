import pytest

from edge.outbox.database import DAMAGED, StoreError
from edge.outbox.store import Store


def test_durable_transactions_are_synced(tmp_path):
    store = Store(tmp_path)
    level = "PRAGMA synchronous"
    with store.database.transaction(durable=True) as database:
        assert database.execute(level).fetchone()[0] == 2  # FULL
    with pytest.raises(ZeroDivisionError), store.database.transaction(durable=True):
        1 / 0  # noqa: B018
    with store.database.transaction() as database:
        assert database.execute(level).fetchone()[0] == 1  # NORMAL


def test_a_locked_database_is_not_treated_as_damaged(tmp_path, monkeypatch):
    Store(tmp_path).close()
    monkeypatch.setattr("edge.outbox.database.LOCK_SECONDS", 0.1)
    first = Store(tmp_path)
    with pytest.raises(StoreError, match="stop the other agent"):
        Store(tmp_path)
    assert not (tmp_path / DAMAGED).exists()
    first.close()
    Store(tmp_path).close()

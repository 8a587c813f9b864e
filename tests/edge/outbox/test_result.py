import numpy as np
import pytest

from edge.inference.record import ModelRecord
from edge.outbox.result import Result

RECORD = ModelRecord(["0", "1"], (64, 48), "1", threshold=0.3)


def test_a_result_holds_what_the_record_predicts():
    (prediction,) = RECORD.decode(np.float32([[0.6, 0.4]]), 1.234)
    made = Result.of("m", "4", prediction)
    assert (made.label, round(made.score, 3), made.latency_ms) == ("1", 0.4, 1.23)
    assert made.margin == pytest.approx(0.2) and Result("m", "4", reason="x").margin == 1

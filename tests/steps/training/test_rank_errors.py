"""What the process that started the ranks says of their errors."""

import pickle

import pytest
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.training.fit_result import FitResult
from steps.training.rank_errors import RankEndedError, RankError, error_as_value, result_of

LOST = RuntimeError("Horovod has been shut down. This was caused by an exception on one rank")
AWAY = MlflowException("API request to http://lake:5000/api failed with exception timed out")


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (UserError("the loss is not finite"), UserError, "the loss is not finite"),
        (LOST, RankEndedError, "the ranks lost the connection to each other"),
        (AWAY, RankEndedError, "rank 1: http://lake:5000 does not answer (timed out)"),
        (KeyError("pixels"), RankError, "raise error\nKeyError: 'pixels'"),
    ],
)
def test_an_error_of_a_rank_reaches_the_process_that_started_it(error, kind, said):
    value = pickle.loads(pickle.dumps(error_as_value(_raised(error), 1)))
    assert type(value) is not Exception and isinstance(value, kind) and said in str(value)


def test_what_ended_a_rank_says_more_than_that_the_others_lost_it():
    lost, away, result = error_as_value(LOST, 0), error_as_value(AWAY, 1), FitResult()
    for results in ([lost, away], [away, lost], [lost, None, away]):
        with pytest.raises(RankEndedError, match="does not answer"):
            result_of(results)
    with pytest.raises(RankEndedError, match="each other"):
        result_of([lost, None])
    assert result_of([result, None]) is result

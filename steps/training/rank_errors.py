"""How a rank ended that did not train to the end, and which of several ranks says why."""

import os
import re
import signal
import traceback
from collections.abc import Sequence

from steps.errors import RunAgain, UserError
from steps.pipeline.outages import describe_outage
from steps.training.fit_result import FitResult


class RankEndedError(UserError):
    """What ended a rank, and with it the training, stands outside of it."""


class LostRanksError(RankEndedError):
    """An exchange that another rank did not answer: what ended that one says more."""


class RankError(Exception):
    """An error of a rank, with its trace as text."""


def error_as_value(error: Exception, rank: int) -> Exception:
    """Return an error of a rank as it is handed to the process that started the ranks."""
    if isinstance(error, UserError):
        return error
    if "Horovod has been shut down" in str(error):  # by another rank, in the midst of an exchange
        return LostRanksError("the ranks lost the connection to each other", RunAgain())
    if away := describe_outage(error):
        return RankEndedError(f"rank {rank}: {away}", RunAgain())
    return RankError(f"rank {rank}:\n{''.join(traceback.format_exception(error))}")


def result_of(results: Sequence[FitResult | Exception | None]) -> FitResult:
    """Return the result among those of all ranks, or raise the error that ended the others."""
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, LostRanksError))
    return next(result for result in results if isinstance(result, FitResult))


def describe_ended_rank(message: str) -> str | None:
    """Return what ended a rank, by Horovod's message; None if it was an error of its own.

    >>> describe_ended_rank("Process name: 1\\nExit code: 139\\n")
    'rank 1 was killed by SIGSEGV, which ended the other ranks too'
    """
    ended = re.search(r"Process name: (\S+)\s+Exit code: (-?\d+|None)", message)
    if ended and ended[2] in ("None", "-1"):  # of horovod.spark
        return f"the machine of rank {ended[1]} was lost, which ended the other ranks too"
    code = int(ended[2]) if ended else 0
    if code == os.EX_NOHOST:
        return (
            "on a worker, the worker's own name leads to no address that the other workers reach: "
            "in /etc/hosts of each worker, give its name its address, not 127.0.1.1"
        )
    number = -code if code < 0 else code - 128
    if not ended or number not in set(signal.Signals):
        return None
    name = signal.Signals(number).name
    why = " (by hand, or because memory ran out)" if name == "SIGKILL" else ""
    return f"rank {ended[1]} was killed by {name}{why}, which ended the other ranks too"

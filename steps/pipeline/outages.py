"""A tracking server, registry or artifact store that does not answer, in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException

from edge.protocol.addresses import without_userinfo

REQUEST_FAILED = re.compile(r"API request to (\S+) failed with (?:timeout )?exception (.*)")
"""The message of MLflow's client (3.17) after its last retry. Of files that it fetches in threads
it keeps no more than this message."""

NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
)

FAIL_FAST_SECONDS = 5


def describe_outage(error: BaseException) -> str | None:
    """Return which server did not answer if that caused an error; None if something else did.

    >>> describe_outage(MlflowException("API request to http://lake failed with exception late"))
    'http://lake does not answer (late)'
    """
    for cause in _causes(error):
        if isinstance(cause, MlflowException) and (request := REQUEST_FAILED.search(str(cause))):
            return _describe(request[1], request[2])
        if isinstance(cause, NO_ANSWER) and cause.request is not None:
            return _describe(str(cause.request.url), str(cause))
    return None


@contextmanager
def fail_fast() -> Iterator[None]:
    """Let MLflow try once and for seconds instead of minutes: the server did not answer before."""
    settings = {MLFLOW_HTTP_REQUEST_MAX_RETRIES: 0, MLFLOW_HTTP_REQUEST_TIMEOUT: FAIL_FAST_SECONDS}
    before = {setting: setting.get_raw() for setting in settings}
    for setting, value in settings.items():
        setting.set(value)
    try:
        yield
    finally:
        for setting, value in before.items():
            setting.unset() if value is None else setting.set(value)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _describe(url: str, reason: str) -> str:
    parts = urlsplit(without_userinfo(url))
    server = f"{parts.scheme}://{parts.netloc}"
    # the innermost of the errors that the text nests
    why = re.split(r": |\(['\"]|, ['\"]", reason)[-1].partition(" (")[0].strip(").'\" ")
    return f"{server} does not answer ({why})"

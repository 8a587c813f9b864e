"""A tracking server, registry or artifact store that does not answer, told in one line."""

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

ASKED = re.compile(r"API request to (\S+) failed with (?:timeout )?exception (.*)")
"""What MLflow's client (3.17) says once it has asked in vain as often as it may. Of files that it
fetches in threads it keeps no more than these words."""

NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
)

LAST_WORDS_SECONDS = 5


def outage(error: BaseException) -> str | None:
    """Which server did not answer, where an error comes from that; None: from something else.

    >>> outage(MlflowException("API request to http://lake:5000/api failed with exception x: late"))
    'http://lake:5000 does not answer (late)'
    """
    for cause in _causes(error):
        if isinstance(cause, MlflowException) and (asked := ASKED.search(str(cause))):
            return _said(asked[1], asked[2])
        if isinstance(cause, NO_ANSWER) and cause.request is not None:
            return _said(str(cause.request.url), str(cause))
    return None


@contextmanager
def fail_fast() -> Iterator[None]:
    """Let MLflow ask once and for seconds, where it would for minutes: it was in vain before."""
    settings = {MLFLOW_HTTP_REQUEST_MAX_RETRIES: 0, MLFLOW_HTTP_REQUEST_TIMEOUT: LAST_WORDS_SECONDS}
    before = {setting: setting.get_raw() for setting in settings}
    for setting, value in settings.items():
        setting.set(value)
    try:
        yield
    finally:
        for setting, value in before.items():
            setting.unset() if value is None else setting.set(value)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _said(url: str, reason: str) -> str:
    parts = urlsplit(without_userinfo(url))
    server = f"{parts.scheme}://{parts.netloc}"
    # the innermost of the errors that are told within each other
    why = re.split(r": |\(['\"]|, ['\"]", reason)[-1].partition(" (")[0].strip(").'\" ")
    return f"{server} does not answer ({why})"

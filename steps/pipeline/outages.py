"""A tracking store, registry or artifact store that does not answer as it should, in one line."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from urllib.parse import urlsplit

import mlflow
import requests
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
)
from mlflow.exceptions import MlflowException

from edge.protocol.addresses import shown_address
from steps.errors import UserError, causes

REQUEST_FAILED = re.compile(r"API request to (\S+) failed with (?:timeout )?exception (.*)")
"""The message of MLflow's client (3.17) after its last retry. Of files that it fetches in threads
it keeps no more than this message."""

NO_ANSWER = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
)

REFUSALS = {
    r"Invalid Host header": "{store} takes no requests for the name {host}: start it with "
    "--allowed-hosts {host}, or use a name that it allows",
    r"certificate verify failed: ([^(]*[^( ])": "{store} has a certificate that is not trusted "
    "({reason}): set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of its CA",
    r"error code 40[13]|PERMISSION_DENIED|UNAUTHENTICATED": "{store} does not let this user in: "
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    r"not in a valid JSON format|Response body: '\s*<": "{store} answers with a page and is no "
    "MLflow server: check MLFLOW_TRACKING_URI, or tracking_uri in the profile",
    r"database is locked": "another program has kept {store} locked for two minutes: end it",
    r"(attempt to write a readonly database|unable to open database file"
    r"|disk I/O error)": "{store} cannot be written ({reason})",
    r"experiment (\S+) must be in the 'active' state": "experiment {reason} was deleted: run "
    "mlflow experiments restore --experiment-id {reason}, or name another with --experiment-name",
}
"""By what MLflow's message contains: what is wrong, and the fix. Asking again does not help."""

STORE_ERRORS = (MlflowException, requests.RequestException)
FAIL_FAST_SECONDS = 5


def describe_outage(error: BaseException) -> str | None:
    """Return what is wrong with a store if that caused an error; None if something else did.

    >>> describe_outage(MlflowException("API request to http://lake failed with exception late"))
    'http://lake does not answer (late)'
    """
    if refusal := _describe_refusal(error):
        return refusal
    for cause in causes(error):
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


def require_usable_server() -> None:
    """Ask the tracking server once: what waiting cannot fix ends the step before it starts.

    Raises:
        UserError: the server answers, and not as it should; no answer is left to MLflow's retries.
    """
    if not mlflow.get_tracking_uri().startswith("http"):
        return
    try:
        with fail_fast():
            mlflow.search_experiments(max_results=1)
    except Exception as error:
        if refusal := _describe_refusal(error):
            raise UserError(refusal) from error


def _describe_refusal(error: BaseException) -> str | None:
    """Return which of the known refusals caused an error, and its fix."""
    uri = mlflow.get_tracking_uri()
    store = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:") else shown_address(uri)
    messages = [str(cause) for cause in causes(error) if isinstance(cause, STORE_ERRORS)]
    for message, (pattern, refusal) in product(messages, REFUSALS.items()):
        if found := re.search(pattern, message):
            reason = found[1] if found.re.groups else ""
            return refusal.format(store=store, host=urlsplit(store).hostname, reason=reason)
    return None


def _describe(url: str, reason: str) -> str:
    parts = urlsplit(shown_address(url))
    server = f"{parts.scheme}://{parts.netloc}"
    # the innermost of the errors that the text nests
    why = re.split(r": |\(['\"]|, ['\"]", reason)[-1].partition(" (")[0].strip(").'\" ")
    return f"{server} does not answer ({why})"


if __name__ == "__main__":  # for make: `mlflow run` itself would show a trace, perhaps in minutes
    try:
        require_usable_server()
    except UserError as refused:
        sys.exit(str(refused))

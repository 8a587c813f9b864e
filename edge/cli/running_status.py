"""The status of the running agent, as its page answers it."""

from contextlib import suppress
from typing import Any

import urllib3

from edge.agent.settings import Settings
from edge.inference.errors import UserError
from edge.protocol.addresses import web_address

ANSWER_SECONDS = 5.0
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, not bound
"""The local address of a page that is served at all addresses."""

STATED = {"device", "healthy", "health_issues", "camera_failure", "clock_synced", "queue"}
"""By some of its keys an agent's status is told from what another program answers."""


class OtherAnswerError(UserError):
    """Another device's agent, or another program, answers at the page's address."""


def running_status(settings: Settings) -> dict[str, Any]:
    """Return the status of the running agent of these settings.

    Raises:
        OtherAnswerError: something else has its address.
        UserError: nothing answers there.
    """
    page = settings.page
    address = web_address(LOOPBACK.get(page.host, page.host), page.port)
    try:
        # no proxy of the user's, which does not lead to this machine
        answer = urllib3.request("GET", f"{address}/status", timeout=ANSWER_SECONDS, retries=False)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        why = f"no agent answers at {address}: systemctl status lakehouse-vision"
        raise UserError(why) from error
    status: Any = None
    with suppress(ValueError):  # another program may answer anything
        status = answer.json()
    advice = "give page.port another value"
    if not isinstance(status, dict) or not status.keys() >= STATED:
        raise OtherAnswerError(f"{address} is answered by another program: {advice}")
    if status["device"] != settings.device:
        why = f"{address} answers for {status['device']}, not {settings.device}"
        raise OtherAnswerError(f"{why}: {advice}, or restart an agent that you renamed")
    return status

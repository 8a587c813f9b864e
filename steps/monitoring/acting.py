"""The causes to act on, and what they start: the pipeline or a webhook, and not again too soon."""

import base64
import json
import logging
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import mlflow
import requests
from mlflow.exceptions import ExecutionException

from edge.protocol.backoff import backoff_seconds
from edge.protocol.webhook_signature import MIN_SECRET_BYTES, sign
from steps.errors import UserError
from steps.ingestion.label_rows import RENAME, all_labels, current_labels, without_undone
from steps.monitoring.compared import Comparison, Version
from steps.pipeline.entry_point import run_apart
from steps.pipeline.model_names import MODEL
from steps.pipeline.runs import newest_runs

logger = logging.getLogger("steps")

OnBreach = Literal["none", "run", "webhook"]

ACTED, ACTED_AT = "acted", "acted_at"
"""Tags of a run of the monitor: the causes that it acted on, as JSON, and when. More causes than
one tag holds follow in ``acted.1``, ``acted.2`` and so on."""
PER_TAG = 20
"""Causes in a tag, of which MLflow keeps 8,000 characters."""
URL, SECRET = "MONITOR_WEBHOOK_URL", "MONITOR_WEBHOOK_SECRET"
ATTEMPTS = 4
TIMEOUT = 10.0


class Retraining(NamedTuple):
    """What is a cause to act on besides alarms: so many new labels, so many days; 0: it is none."""

    new_labels: int
    every_days: float


def find_causes(
    version: Version, alarms: list[str], labelled: int, now: datetime, retraining: Retraining
) -> list[str]:
    """Return the causes to act on, each with a name that is the same in later runs.

    Args:
        version: of the model; another version has causes of its own.
        alarms: names of those that last.
        labelled: images that were labelled since its training.
        now: the time.
        retraining: the other causes.
    """
    causes = [f"{version.number}/{alarm}" for alarm in alarms]
    if retraining.new_labels and labelled >= retraining.new_labels:
        causes.append(f"{version.number}/labels/{labelled // retraining.new_labels}")
    age = (now - version.trained_at) / timedelta(days=1)
    if retraining.every_days and age >= retraining.every_days:
        causes.append(f"{version.number}/schedule/{int(age // retraining.every_days)}")
    return causes


def act(
    on_breach: OnBreach,
    causes: list[str],
    cooldown: timedelta,
    now: datetime,
    message: dict[str, Any],
    pipeline: dict[str, str],
) -> str:
    """Act on causes that no earlier run of the monitor acted on; return what was done, and why not.

    A run's tags keep what it did, so this is so after restarts, and for all who share the tracking
    server. A start of the pipeline is noted before it starts: it fails, or is stopped, once.

    Args:
        on_breach: what to do.
        causes: of :func:`find_causes`.
        cooldown: time after an action in which there is no other; the causes wait.
        now: the time.
        message: what a webhook says besides the causes; its model is that of the earlier runs.
        pipeline: the parameters of the pipeline.
    """
    of_model = f"tags.{MODEL} = '{message['model']}'"
    before = newest_runs(f"tags.step = 'monitor' and {of_model} and tags.{ACTED} != ''")
    known = {cause for run in before for cause in _noted(run.data.tags)}
    new = [cause for cause in causes if cause not in known]
    if not new or on_breach == "none":
        return ""
    last = max((datetime.fromisoformat(run.data.tags[ACTED_AT]) for run in before), default=None)
    if last and now < last + cooldown:
        return f"nothing started before {last + cooldown:%Y-%m-%d %H:%M} UTC (cool-down)"
    if on_breach == "webhook":
        _send_webhook(message | {"causes": new})
        _note(new, now)
        return f"webhook sent ({', '.join(new)})"
    _note(new, now)
    logger.info("starting the pipeline: %s", ", ".join(new))
    try:
        run_id = run_apart("main", pipeline)
    except ExecutionException as error:
        logger.warning("the pipeline failed: %s", error)
        return f"pipeline started ({', '.join(new)}), and failed; see its run"
    result = mlflow.get_run(run_id).data.tags["result"]
    return f"pipeline run {run_id}: {result} ({', '.join(new)})"


def _note(causes: list[str], now: datetime) -> None:
    mlflow.set_tag(ACTED_AT, now.isoformat())
    for start in range(0, len(causes), PER_TAG):
        name = f"{ACTED}.{start // PER_TAG}" if start else ACTED
        mlflow.set_tag(name, json.dumps(causes[start : start + PER_TAG]))


def _noted(tags: dict[str, str]) -> list[str]:
    lists = [text for name, text in tags.items() if name.partition(".")[0] == ACTED]
    return [cause for text in lists for cause in json.loads(text)]


def webhook_secret() -> bytes:
    """Return what the monitor's webhooks are signed with.

    Raises:
        UserError: the environment has no address of a receiver, or no valid secret.
    """
    try:
        text = os.environ.get(SECRET, "").removeprefix("whsec_")
        secret = base64.b64decode(text, validate=True)
    except ValueError:
        secret = b""
    if not os.environ.get(URL) or len(secret) < MIN_SECRET_BYTES:
        raise UserError(
            f"on_breach=webhook needs in the environment {URL}, the address that gets the message, "
            f"and {SECRET}, which signs it: what `openssl rand -base64 32` prints"
        )
    return secret


def _send_webhook(message: dict[str, Any]) -> None:
    """POST alarms to a receiver, signed as Standard Webhooks describes; try again if that fails.

    Raises:
        UserError: the receiver does not accept it. The next run of the monitor tries again.
    """
    secret, url = webhook_secret(), os.environ[URL]
    body, id = json.dumps(message).encode(), f"msg_{uuid.uuid4().hex}"
    why = ""
    for attempt in range(1, ATTEMPTS + 1):
        at = str(int(datetime.now(UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": at,
            "webhook-signature": sign(secret, id, at, body),
        }
        try:
            answer = requests.post(
                url, body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
            if answer.ok and not answer.is_redirect:
                return
            why = f"status {answer.status_code}"
        except requests.RequestException as error:
            why = type(error).__name__  # its own text shows the address
        if attempt < ATTEMPTS:
            time.sleep(backoff_seconds(attempt, first=0.5, longest=10))
    raise UserError(f"the receiver of {URL} did not accept the message ({why})")


def count_labelled(comparison: Comparison) -> int:
    """Return how many images of the landing zone were labelled since the training, by more than a
    new name of their label."""
    since = comparison.version.trained_at
    rows = without_undone(all_labels(comparison.profile).to_pylist())
    given = {r["sha256"] for r in rows if r["labelled_at"] > since and r["how"] != RENAME}
    now = current_labels(comparison.profile)
    found = (sha for sha in given if now[sha]["label"] is not None)
    return sum(comparison.index.find(sha) is not None for sha in found)

"""Let the MLflow server announce that an alias moved, by a webhook of its registry (experimental).

    REGISTRY_WEBHOOK_SECRET=… python -m steps.registry.webhooks https://example.org/hook

The server sends it for each alias of each model, with name, alias and version, and signs it.
"""

import argparse
import os
import sys
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient
from mlflow.entities.webhook import Webhook
from mlflow.exceptions import MlflowException

from steps.errors import UserError
from steps.pipeline.outages import STORE_ERRORS, describe_outage, fail_fast
from steps.pipeline.tracking_store import use_tracking_store
from steps.settings.profile import load_profile

NAME = "alias-moved"
EVENTS = ["model_version_alias.created"]
SECRET = "REGISTRY_WEBHOOK_SECRET"  # noqa: S105 – the name of the variable
SERVER = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"


def announce_moves(url: str, secret: str) -> Webhook:
    """Create the webhook, or give the one that is there another address and secret.

    Args:
        url: that gets the messages.
        secret: that signs them.

    Raises:
        UserError: there is no server that could send it, or it refuses.
    """
    if not mlflow.get_tracking_uri().startswith("http"):
        raise UserError(
            "a webhook is sent by an MLflow server, and the runs are stored without one; start it "
            "with `mlflow server`, and set MLFLOW_TRACKING_URI to its address"
        )
    client = MlflowClient()
    try:
        for known in client.list_webhooks():
            if known.name == NAME:
                return client.update_webhook(
                    known.webhook_id, url=url, secret=secret, events=EVENTS, status="ACTIVE"
                )
        return client.create_webhook(NAME, url, EVENTS, secret=secret)
    except MlflowException as error:
        if describe_outage(error):
            raise
        why = error.message.replace(url, "the address")  # which can be a secret
        raise UserError(
            f"the MLflow server refuses the webhook: {why}; it needs an SQL backend and "
            f"{SERVER} in its environment, and https"
        ) from error


def main(arguments: list[str] | None = None) -> None:
    """Set the webhook up, and have the server send a first message."""
    parser = argparse.ArgumentParser(
        prog="python -m steps.registry.webhooks",
        description="Let the MLflow server POST to an address when an alias moves.",
    )
    parser.add_argument("url", help="address that gets the messages")
    parser.add_argument("--profile", default="local", help="profile that names the server")
    options = parser.parse_args(arguments)
    secret = os.environ.get(SECRET, "")
    try:
        if not secret:
            raise UserError(f"set {SECRET} to what `openssl rand -hex 32` prints")
        use_tracking_store(load_profile(options.profile))
        with fail_fast():
            webhook = announce_moves(options.url, secret)
        tried = MlflowClient().test_webhook(webhook.webhook_id)
    except (UserError, *STORE_ERRORS) as error:
        sys.exit(f"webhooks: {describe_outage(error) or error}")
    host = urlsplit(options.url).hostname  # its path can be a secret
    if not tried.success:
        status = tried.response_status  # without one, the message shows the path
        why = f"status {status}" if status else "it cannot be reached"
        sys.exit(f"webhooks: {host} gets messages from now on, but not the first one: {why}")
    print(f"{host} got a first message, and gets one whenever an alias moves")  # noqa: T201


if __name__ == "__main__":
    main()

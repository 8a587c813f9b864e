"""The table of actions, and the way from the settings to them."""

import pkgutil
from typing import cast

from edge.actions.action import Action, ActionSettings, Health

ACTIONS = {
    "webhook": "edge.actions.webhook:Webhook",
    "mqtt": "edge.actions.mqtt:Mqtt",
}
"""The class of each kind of action. A new action is a file and a line here."""


def _action_class(kind: str) -> type[Action]:
    """Return the class of a kind of action; a kind that is not in the table is a KeyError."""
    return cast(type[Action], pkgutil.resolve_name(ACTIONS[kind]))


def settings_error(name: str, settings: ActionSettings) -> str | None:
    """Return what is wrong with an action's settings, after the name of the key; or None."""
    if not name or not all(sign.isalnum() or sign == "-" for sign in name):
        return ": use only letters, digits and - in its name"
    if settings.kind not in ACTIONS:
        return f".kind is {settings.kind!r}: it must be one of {', '.join(ACTIONS)}"
    for key in ("topic", "discovery"):
        if set("+#") & set(topic := getattr(settings, key)):
            return f".{key} is {topic!r}: it must be without + and #"
    error = _action_class(settings.kind).url_error(settings.url)
    return error and f".url: {error}"


def make_actions(actions: dict[str, ActionSettings], device: str, health: Health) -> list[Action]:
    """Make the actions of a settings file, which do not run yet.

    Raises:
        ActionError: a secret is missing or not valid.
    """
    return [
        _action_class(settings.kind)(name, settings, device, health)
        for name, settings in actions.items()
    ]

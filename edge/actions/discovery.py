"""Home Assistant's discovery: the messages by which it finds the entities of this device.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery lists their keys.
"""

import json
from typing import Any, NamedTuple

from edge.actions.action import CameraState
from edge.inference.prediction import UNSURE


class Topics(NamedTuple):
    """The topics of a device, of which Home Assistant learns by discovery.

    Attributes:
        state: its state, as JSON.
        health: its health, as JSON.
        availability: ``online`` or ``offline``.
        image: the frame of the last change, as JPEG; "" for none.
    """

    state: str
    health: str
    availability: str
    image: str = ""


def discovery_messages(prefix: str, topics: Topics, state: CameraState) -> dict[str, bytes]:
    """Return the discovery messages for Home Assistant by topic.

    Args:
        prefix: Home Assistant's topic for discovery.
        topics: of the device.
        state: of the camera, whose labels become the options of the entity.
    """
    device = f"lakehouse-vision-{state.device}"
    shared = {
        "availability_topic": topics.availability,
        "device": {
            "identifiers": [device],
            "name": f"{state.device} {state.view}",
            "manufacturer": "lakehouse-vision",
            "model": state.model,
            "sw_version": state.model_version,
        },
        "origin": {"name": "lakehouse-vision"},
    }
    return {
        f"{prefix}/{kind}/{device}/{name}/config": json.dumps(
            entity | shared | {"unique_id": f"{device}-{name}"}, sort_keys=True
        ).encode()
        for (kind, name), entity in _entities(topics, state.labels).items()
        if kind != "image" or topics.image
    }


def _entities(topics: Topics, labels: list[str]) -> dict[tuple[str, str], dict[str, Any]]:
    of_state = {"state_topic": topics.state, "qos": 1}
    of_health = {"state_topic": topics.health, "entity_category": "diagnostic", "qos": 1}
    return {
        ("sensor", "state"): {
            **of_state,
            "name": "State",
            "device_class": "enum",
            "options": [*labels, UNSURE],
            "value_template": "{{ value_json.state }}",
        },
        ("sensor", "score"): {
            **of_state,
            "name": "Score",
            "state_class": "measurement",
            "unit_of_measurement": "%",
            "value_template": "{{ (value_json.score * 100) | round(1) }}",
        },
        ("image", "image"): {
            "image_topic": topics.image,
            "name": "Last change",
            "content_type": "image/jpeg",
        },
        ("binary_sensor", "problem"): {
            **of_health,
            "json_attributes_topic": topics.health,
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ 'OFF' if value_json.healthy else 'ON' }}",
        },
        ("sensor", "temperature"): {
            **of_health,
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "value_template": "{{ value_json.temperature_celsius }}",
        },
    }

"""Runs in the system with the virtual camera: does the stand-in have what picamera2 has, and does
it refuse what picamera2 refuses? Prints JSON: by question, what the two of them answer."""

import inspect
import json
import sys
import types

import picamera2_stand_in as stand_in
import virtual_picamera2

REAL, STAND_IN = virtual_picamera2.VirtualPicamera2, stand_in.Picamera2
CALLED = types.FunctionType | property | staticmethod
SMALL, LARGE = {"size": (320, 240)}, {"size": (640, 480)}


def signatures(real: type, other: type) -> dict[str, list]:
    """Of each public method and property of the stand-in: how the two are called."""
    return {
        f"{other.__name__}.{name}": [
            _called(inspect.getattr_static(kind, name, None)) for kind in (real, other)
        ]
        for name, value in vars(other).items()
        if not name.startswith("_") and isinstance(value, CALLED)
    }


def _called(value) -> list[str] | str | None:
    if value is None or isinstance(value, property):
        return value and "property"
    value = inspect.unwrap(getattr(value, "__func__", value))
    return [name for name in inspect.signature(value).parameters if name != "self"]


def refused(kind: type, use) -> str:
    """The name of what is raised, or "taken"."""
    camera = kind(0)
    try:
        use(camera)
    except Exception as error:  # whatever it is, is the answer
        return type(error).__name__
    finally:
        camera.cancel_all_and_flush()
        camera.close()
    return "taken"


def looked(camera, look, **streams):
    camera.configure(camera.create_still_configuration(buffer_count=2, **streams))
    camera.start()
    with camera.captured_request(wait=10) as request:
        return look(request)


USES = {
    "one stream": lambda c: looked(c, lambda r: r.make_array("main"), main=LARGE),
    "two streams": lambda c: looked(c, lambda r: r.make_array("lores"), main=LARGE, lores=SMALL),
    "metadata": lambda c: looked(c, lambda r: r.get_metadata(), main=LARGE),
    "a stream that was not asked for": lambda c: looked(
        c, lambda r: r.make_array("lores"), main=LARGE
    ),
    "a stream's unknown key": lambda c: c.create_still_configuration(main={"colour": "red"}),
    "an unknown format": lambda c: looked(c, id, main=LARGE | {"format": "RGB999"}),
    "a lores larger than main": lambda c: looked(c, id, main=SMALL, lores=LARGE),
    "a lores that is RGB": lambda c: looked(c, id, main=LARGE, lores=SMALL | {"format": "RGB888"}),
    "an unknown control": lambda c: looked(c, id, main=LARGE, controls={"Colour": 1}),
    "an unknown argument": lambda c: c.create_still_configuration(colour="red"),
}

STAND_IN.at_the_ribbon = True
answers = signatures(REAL, STAND_IN) | signatures(
    sys.modules["picamera2.request"].CompletedRequest, stand_in.CompletedRequest
)
for question, use in USES.items():
    answers[question] = [refused(kind, use) for kind in (REAL, STAND_IN)]
print(json.dumps(answers))

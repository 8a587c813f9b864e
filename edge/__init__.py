"""The device's side; it imports nothing from ``steps``.

    python -m edge run         the agent: all of the following, until it is stopped
    python -m edge status      the state of the running agent
    python -m edge doctor      check what the agent needs
    python -m edge retry       let the agent try failed releases again
    python -m edge capture     write frames from a camera into a landing folder
    python -m edge pull        install the released model from an MLflow server
    python -m edge score       score new frames with the pulled model
    python -m edge predict     have a server score images

The rooms, each of which imports only the ones below it:

- ``cli``: the commands
- ``agent``: the loop that ties everything together, settings, clock, status, watchdog
- ``actions``: the state of the camera, and what happens when it changes
- ``preview``: the page
- ``update``: from an alias to the model in use
- ``outbox``: images and results until they are sent
- ``cameras``: one interface, one driver per file, found by one table
- ``files``: atomic writes, the free space of the disk, and files of settings
- ``protocol``: what the device and ``steps`` must agree on
- ``inference``: the scoring core, where an image becomes a prediction, in training and here

``install`` holds the installer, the systemd unit and the command ``edge-agent``.
"""

import os

# onnxruntime reports its use to its makers unless it finds this when it is loaded
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

"""What runs on the device; it imports nothing from ``steps``.

    python -m edge run         all of the following, for months
    python -m edge capture     frames from a camera into a landing folder
    python -m edge pull        the released model from an MLflow server
    python -m edge score       new frames with the pulled model

The rooms, each of which imports only the ones below it:

- ``cli``: the commands
- ``agent``: the loop that ties everything together, settings, clock, status, watchdog
- ``preview``: the page; ``update``: from an alias to the model in use; ``outbox``: what waits to
  be sent
- ``cameras``: one interface, and a driver each for picamera2, OpenCV, a folder, and a simulation
- ``files``: files that are there complete or not at all
- ``protocol``: what the device and ``steps`` must agree on
- ``inference``: the scoring core: where an image becomes a prediction, in training and here

``install`` holds the installer, the systemd unit and the command ``edge-agent``.
"""

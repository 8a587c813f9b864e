"""What runs on the device; it imports nothing from ``steps``.

    python -m edge run         all of the following, for months             (agent/, preview/)
    python -m edge capture     frames from a camera into a landing folder   (capture.py)
    python -m edge pull        the released model from an MLflow server     (pull.py, update/)
    python -m edge score       new frames with the pulled model             (score.py)

- ``scoring``: the scoring core: where a picture becomes a number, in training and here
- ``landing_names``: what stands where in the landing zone, for the device and for ingest
- ``current``: the pulled model that is in use
- ``update``, ``release``, ``signature``: how a model comes here, and whose it is
- ``record``, ``golden``: the model's record and its golden pictures, which travel with the network
- ``cameras``: one interface, and a driver each for picamera2, OpenCV, a folder, and a simulation
- ``install``: the installer, the systemd unit, and the command ``edge-agent``
- ``commands``, ``camera_options``: the command line; ``errors``: what its user can mend;
  ``addresses``: what of an address may be shown
"""

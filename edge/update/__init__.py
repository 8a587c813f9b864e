"""From an alias of the model registry to the model in use, and back to the one before.

In the order of an update:

- ``polling``: when to ask next, so that the devices of a fleet do not all ask at once
- ``updater``: one poll, from the alias to the switch, by the modules below
- ``server``, ``registry``: what an alias names, and its files, from an MLflow server, within a
  ``deadline``
- ``staging``: the release's files, downloaded with resume and compared with the release statement
- ``self_test``: the model is loaded, scores its reference images, and is timed, in a
  ``self_test_process``
- ``switch``: the files move to their place, then the link to them
- ``probation``: the first real frames commit the release, or it is rolled back
- ``current``: the model in use, loaded; ``errors``: what goes wrong, ``load_errors`` in onnxruntime

All of them work on ``home``, a model's folder on the device, and ``state``, what the device
remembers there. A test kills the process before each change that an update makes to the disk.
"""

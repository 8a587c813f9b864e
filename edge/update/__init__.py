"""How a released model comes onto this device, and how the one before it comes back.

- ``updater``: one poll from the alias to the switch
- ``probation``: confirmed by its first real frames, or undone
- ``registry``, ``server``: what an alias names, and its files, from an MLflow server
- ``staging``: the release's files, fetched with resume and compared with what was released
- ``trial``: the fetched model is loaded, scores its reference images, and is timed
- ``home``: a model's folder on the device: what is current, what was before
- ``state``: what a device remembers of it: probation, failures; ``space``: room on its disk
- ``polling``: when to ask next, so that a fleet does not ask all at once
- ``faultpoints``: the steps of an update, after each of which a test ends the process
"""

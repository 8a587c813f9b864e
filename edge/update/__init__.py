"""How a released model comes onto this device, and how the one before it comes back.

- ``updater``: one poll from the alias to the switch, then confirmed or undone
- ``staging``: the release's files, fetched with resume and compared with what was released
- ``trial``: the fetched model is loaded, scores its golden pictures, and is timed
- ``home``: a model's folder on the device: what is current, what was before, what has failed
- ``polling``: when to ask next, so that a fleet does not ask all at once
- ``faultpoints``: the steps of an update, after each of which a test ends the process
"""

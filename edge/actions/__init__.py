"""What happens when a camera's answer changes.

- ``smoothing``: from the answers for single frames to the state of the camera
- ``actions``: hands each change of the state to every action
- ``kinds``: the table of actions; ``action``: their interface, settings and secrets
- ``webhook``, ``mqtt``: one file an action; ``discovery``: what Home Assistant reads
"""

"""Cameras: one interface, ``camera.Camera``, which yields ``camera.Frame``; one driver a file.

- ``simulated``: draws a front porch (``porch``) by day and night, and knows the labels
- ``picamera2``: the camera of a Raspberry Pi
- ``folder``: the pictures in a folder
"""

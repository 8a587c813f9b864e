"""Cameras: one interface, ``camera.Camera``, which yields ``camera.Frame``; one driver a file.

- ``simulated``: draws a front porch (``porch``) by day and night, and knows the labels
- ``picamera2``: the camera of a Raspberry Pi; ``pixel_formats``: from what it gives to RGB
- ``opencv``: a camera at USB or in the network
- ``folder``: the images in a folder
"""

"""Cameras: one interface, ``camera.Camera``, which yields ``camera.Frame``; one file per camera.

- ``camera``: the interface, and the settings of all cameras; ``errors``: why one delivers no frame
- ``kinds``: the table ``CAMERAS``, by which command line and agent find a camera
- ``picamera2``: the camera of a Raspberry Pi; ``sensor_modes``, ``pixel_formats`` serve it
- ``opencv``: a USB or network camera
- ``folder``: the images in a folder
- ``simulated``: draws a front porch (``porch``) by day and night, and knows the labels
- ``jpeg``: a frame as a JPEG file with EXIF
"""

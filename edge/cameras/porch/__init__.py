"""A drawn front porch: the view of the simulated camera.

- ``sketch``: the pinhole camera and polygons in space
- ``street``, ``scenery``: the street with its cars, and the porch, which never changes;
  ``leaves`` of both
- ``things``: the things that come and go: packages, a chair, a cat
- ``light``, ``sky``: sun, lantern and their shadows at a time of day; the clouded sky
- ``sensor``: exposure, shake, noise: from light to pixels
"""

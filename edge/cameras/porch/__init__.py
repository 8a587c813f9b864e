"""A front porch, drawn: what the simulated camera looks at.

- ``projection``: the pinhole camera and polygons in space; ``shapes`` made of them
- ``street`` and ``scenery``: the street, and the porch before it, which never change
- ``things``: what comes and goes: packages, a chair, a cat, a car
- ``light``: sun, clouds, sky, lantern and their shadows at a time of day
- ``sensor``: exposure, shake, noise: from light to pixels
"""

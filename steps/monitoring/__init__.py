"""Watches the devices: what came in since a version was trained, compared with what trained it."""

"""The preview page and the health endpoint: what the device sees, on this machine only.

- ``server``: the addresses; ``page.html``: what a browser shows
"""

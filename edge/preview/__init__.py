"""The preview page and the health endpoint, by default for this machine only.

- ``server``: the addresses; ``source``: what the agent hands it; ``page.html``: the page
"""

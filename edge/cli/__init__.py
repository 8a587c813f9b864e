"""The commands of ``python -m edge``."""

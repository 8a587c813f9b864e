"""The scoring core: the one place where an image becomes a prediction."""

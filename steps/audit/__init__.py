"""The shortcut audit: what predicts labels besides the object, and whether a network follows it."""

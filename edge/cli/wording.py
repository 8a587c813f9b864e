"""Numbers with their nouns."""


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one.

    >>> pluralize(1, "frame"), pluralize(0, "frame"), pluralize(2, "frame")
    ('1 frame', '0 frames', '2 frames')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

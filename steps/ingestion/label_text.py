"""The text of a label, equal however it was typed, stored or unpacked."""

import unicodedata


def normalize_label(text: str | None) -> str | None:
    """Return a label in Unicode's composed form (NFC) without spaces around it; None if empty.

    One file system writes an ü as one character, another as two, and both look the same.

    >>> normalize_label(" Tu\\u0308r "), normalize_label("  ")
    ('Tür', None)
    """
    return unicodedata.normalize("NFC", text or "").strip() or None

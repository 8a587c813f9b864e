"""PNG: the texts and profiles beside an image."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")

EXIF_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""The texts in which Pillow looks for EXIF, by their keywords."""


def without_texts(content: bytes) -> bytes:
    """Return a PNG without texts and colour profiles, but for those in which EXIF may be.

    Nothing here uses them, and Pillow takes an image with much of them for a damaged one: it
    unpacks up to a mebibyte of each.
    """
    kept, begin, place = [], 0, len(PNG_SIGNATURE)
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4])
        is_text = content[place + 4 : place + 8] in TEXTS
        if is_text and not content.startswith(EXIF_TEXTS, place + 8):
            kept.append(content[begin:place])
            begin = end
        place = end
    return b"".join((*kept, content[begin:]))

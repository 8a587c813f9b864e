"""Images as other programs write them, incomplete ones, and files of formats nobody asked for."""

import io
import struct

import numpy as np
from PIL import Image, PngImagePlugin

END = b"\xff\xd9"
SIZE = (320, 480)


def scene() -> Image.Image:
    """An image with something in every row, as photographs have."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    bands = [120 + 80 * np.sin(row / 30), 20 + column / 2, 10 + row / 2]
    pixels = np.stack(bands, axis=2) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(pixels.clip(1, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.copy().save(file, format, **options)  # saving a JPEG leaves its settings in the image
    return file.getvalue()


IMAGE = scene()
OTHER = IMAGE.transpose(Image.Transpose.ROTATE_180)
JPEG, PROGRESSIVE = encoded(IMAGE, quality=90), encoded(IMAGE, quality=90, progressive=True)
RESTARTS = encoded(IMAGE, quality=90, restart_marker_rows=1)
CMYK = encoded(IMAGE.convert("CMYK"), quality=90)
PNG = encoded(IMAGE, "PNG")


def cut(content: bytes, share: float, end: bytes = END) -> bytes:
    """Only a share of a JPEG's scans, and then the end marker all the same."""
    begin = content.index(b"\xff\xda") + 14
    return content[: begin + round(share * (len(content) - begin))] + end


def without_scans(content: bytes, kept: int) -> bytes:
    """A progressive JPEG with the first scans only."""
    place = -1
    for _ in range(kept + 1):
        place = content.index(b"\xff\xda", place + 1)
    return content[: content.rindex(b"\xff\xc4", 0, place)] + END


def without_segment(content: bytes, marker: int) -> bytes:
    place = content.index(bytes((0xFF, marker)))
    return content[:place] + content[place + 2 + int.from_bytes(content[place + 2 : place + 4]) :]


def without_parts(content: bytes, first: int, last: int) -> bytes:
    """A JPEG without some of the parts between its restart markers, as a radio loses them."""
    marks = [
        place
        for place in range(len(content))
        if content[place] == 0xFF and 0xD0 <= content[place + 1] <= 0xD7
    ]
    return content[: marks[first]] + content[marks[last] :]


def _with_text(kind: str, text: str, zip: bool) -> bytes:
    texts = PngImagePlugin.PngInfo()
    getattr(texts, kind)("comment", text, zip=zip)
    return encoded(IMAGE, "PNG", pnginfo=texts)


DEEP = np.asarray(IMAGE.convert("L")).astype(np.uint16) * 257

INTACT = {
    "JPEG": JPEG,
    "JPEG, progressive": PROGRESSIVE,
    "JPEG, optimized": encoded(IMAGE, quality=90, optimize=True),
    "JPEG with restart markers": RESTARTS,
    "JPEG without subsampling": encoded(IMAGE, quality=90, subsampling=0, progressive=True),
    "JPEG, grey": encoded(IMAGE.convert("L"), quality=90),
    "JPEG, CMYK with Adobe's marker": CMYK,
    "JPEG, CMYK without it": without_segment(CMYK, 0xEE),
    "JPEG and bytes behind it": JPEG + b"SEFT" * 99,
    "JPEG and zeros behind it": JPEG + bytes(5000),
    "JPEG and half another one": JPEG + JPEG[:999],
    "JPEG with a thumbnail": JPEG[:2]
    + b"\xff\xe5"
    + struct.pack(">H", 902)
    + JPEG[:900]
    + JPEG[2:],
    "JPEG with fill bytes": JPEG[:-2] + b"\xff\xff" + END,
    "JPEG with bytes before its end": JPEG[:-2] + b"abc" + END,
    "MPO": encoded(IMAGE, "MPO", save_all=True, append_images=[OTHER.copy()]),
    "PNG": PNG,
    "PNG of 16 bits": encoded(Image.fromarray(DEEP), "PNG"),
    "PNG of 1 bit": encoded(IMAGE.convert("1"), "PNG"),
    "PNG with alpha": encoded(IMAGE.convert("RGBA"), "PNG"),
    "PNG, palette with transparency": encoded(IMAGE.quantize(256), "PNG", transparency=b"\0\x80"),
    "PNG, one transparent colour": encoded(IMAGE.quantize(256), "PNG", transparency=3),
    "PNG with 2 MB of text": _with_text("add_text", "x" * 2_000_000, zip=True),
    "PNG with 70 MB of text": _with_text("add_text", "x" * 70_000_000, zip=False),
    "PNG with 2 MB of Unicode": _with_text("add_itxt", "ü" * 2_000_000, zip=True),
    "PNG with a profile of 3 MB": encoded(IMAGE, "PNG", icc_profile=bytes(3_000_000)),
    "APNG": encoded(IMAGE, "PNG", save_all=True, append_images=[OTHER.copy()]),
    "GIF": encoded(IMAGE, "GIF"),
    "GIF, animated": encoded(IMAGE, "GIF", save_all=True, append_images=[OTHER.copy()]),
    "TIFF": encoded(IMAGE, "TIFF"),
    "TIFF of several pages": encoded(IMAGE, "TIFF", save_all=True, append_images=[OTHER.copy()]),
    "TIFF, compressed": encoded(IMAGE, "TIFF", compression="tiff_lzw"),
    "TIFF of 16 bits": encoded(Image.fromarray(DEEP), "TIFF"),
    "WebP": encoded(IMAGE, "WEBP"),
    "WebP, animated": encoded(IMAGE, "WEBP", save_all=True, append_images=[OTHER.copy()]),
    "BMP": encoded(IMAGE, "BMP"),
}

INCOMPLETE = {
    "JPEG, cut in the middle, with its end": (cut(JPEG, 0.5), "50 % of the rows"),
    "JPEG, almost all": (cut(JPEG, 0.98), " % of the rows"),
    "JPEG, cut in the middle": (cut(JPEG, 0.5, b""), "50 % of the rows"),
    "JPEG, filled with zeros": (cut(JPEG, 0.5, bytes(5000)), "50 % of the rows"),
    "JPEG, nothing but a header": (cut(JPEG, 0), "100 % of the rows"),
    "JPEG, CMYK": (cut(CMYK, 0.5), "50 % of the rows"),
    "JPEG, a part is lost": (without_parts(RESTARTS, 1, 7), "20 % of the rows"),
    "JPEG, progressive, scans missing": (without_scans(PROGRESSIVE, 9), "16 % of the coeff"),
    "JPEG, progressive, most scans missing": (without_scans(PROGRESSIVE, 1), "99 % of the coeff"),
    "JPEG, progressive, its last scan cut": (cut(PROGRESSIVE, 0.9), "16 % of the coeff"),
    "JPEG, progressive, cut early": (cut(PROGRESSIVE, 0.3), " % of the coeff"),
    "JPEG, progressive, cut": (cut(PROGRESSIVE, 0.9, b""), "16 % of the coeff"),
    "PNG, cut": (PNG[: len(PNG) // 2], "50 % of the rows"),
    "PNG, cut, with its end": (PNG[: len(PNG) // 2] + PNG[-12:], "50 % of the rows"),
    "GIF, cut": (INTACT["GIF, animated"][:9999], " % of the rows"),
    "TIFF, cut": (INTACT["TIFF"][: len(INTACT["TIFF"]) // 2], "50 % of the rows"),
    "BMP, cut": (INTACT["BMP"][: len(INTACT["BMP"]) // 2], "50 % of the rows"),
    "WebP, cut": (INTACT["WebP"][: len(INTACT["WebP"]) // 2], "50 % of the bytes"),
}
"""Each with what its detail says, to 5 %."""

NOT_ASKED_FOR = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
    "PDF": encoded(IMAGE, "PDF"),
    "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + bytes(300),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(6) + struct.pack("<hhH", 9, 9, 96) + bytes(6) + b"\1\0\t\0",
    "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(100),
    "FITS": b"SIMPLE  =                    T".ljust(80) + b"BITPIX  = 8".ljust(80) + b"END",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "XPM": b'/* XPM */\nstatic char *a[] = {"1 1 1 1","a c #fff","a"};',
    "XBM": encoded(IMAGE.convert("1"), "XBM"),
    "MSP": encoded(IMAGE.convert("1"), "MSP"),
    "TGA": encoded(IMAGE, "TGA"),
    "IM": encoded(IMAGE, "IM"),
    "DIB": encoded(IMAGE, "DIB"),
    **{
        format: encoded(IMAGE, format)
        for format in ("AVIF", "ICO", "ICNS", "JPEG2000", "PPM", "PCX", "SGI", "DDS", "SPIDER")
    },
}

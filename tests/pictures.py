"""Mail as a person gets to see it: pages and HTML as pictures, and the QRs that a scanner finds in them."""

import base64
import re
from dataclasses import dataclass
from email.message import EmailMessage

import blitz_py
import pypdfium2
import zxingcpp

_CID = re.compile(r'src="cid:([^"]+)"')


@dataclass(frozen=True)
class Picture:
    """Pixels in grey, an octet each, line by line."""

    width: int
    height: int
    octets: bytes

    def qrs(self) -> list[str]:
        """The texts of the QRs in it, from top to bottom."""
        pixels = memoryview(self.octets).cast("B", (self.height, self.width))
        found = zxingcpp.read_barcodes(pixels, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCodeModel2))
        return [one.text for one in sorted(found, key=lambda one: one.position.top_left.y)]


@dataclass(frozen=True)
class PrintedPage:
    """A page: how it looks at 144 dots an inch, its words, and its size in millimetres."""

    picture: Picture
    text: str
    size: tuple[int, int]


def pages_of(pdf: bytes) -> list[PrintedPage]:
    """The pages of a PDF."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [_look_at(page) for page in document]


def _look_at(page: pypdfium2.PdfPage) -> PrintedPage:
    bitmap = page.render(scale=2, grayscale=True)
    octets = bytes(bitmap.buffer)
    # A line of the bitmap may be longer than the picture is wide.
    lines = [octets[start : start + bitmap.width] for start in range(0, bitmap.height * bitmap.stride, bitmap.stride)]
    width, height = page.get_size()
    return PrintedPage(
        Picture(bitmap.width, bitmap.height, b"".join(lines)),
        page.get_textpage().get_text_range(),
        (round(width * 25.4 / 72), round(height * 25.4 / 72)),
    )


def shown(message: EmailMessage, *, width: int) -> Picture:
    """The HTML of a mail on a screen of this width, with the images that came within it and no others."""
    html = message.get_body(("html",))
    assert isinstance(html, EmailMessage)
    images = {
        part["Content-ID"].strip("<>"): base64.b64encode(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
        for part in message.walk()
        if part.get_content_type() == "image/png"
    }
    page = _CID.sub(lambda found: f'src="data:image/png;base64,{images[found[1]]}"', html.get_content())
    pixels_wide, pixels_high, octets = blitz_py.render_rgba(page, width=width, scale=2.0)
    # Of red, green, blue and opacity, green is what scanners go by.
    return Picture(pixels_wide, pixels_high, octets[1::4])

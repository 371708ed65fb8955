"""Bytes of an HTML page to text.

What lives here: the choice of the character encoding. What does not: parsing.
"""

from __future__ import annotations

import codecs
import re

_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Browsers read these labels as windows-1252, and so do the people who write them.
_WESTERN = frozenset({"ascii", "iso8859-1", "cp1252"})


def decode_html(html: bytes, header_charset: str | None = None) -> str:
    """Decode by the HTTP header, else the byte order mark, else the page's own declaration.

    A declaration that the bytes contradict is passed over for the next one, and a Western
    single-byte label yields to UTF-8 where the bytes are valid UTF-8: text that is really Latin-1
    is practically never so. The last resort is windows-1252, so that no page is lost.

    Args:
        html: the page as it was sent.
        header_charset: ``charset`` of the Content-Type header.
    """
    head = html[:4096]
    labels = [header_charset or ""]
    labels += [name for mark, name in _BOMS if html.startswith(mark)]
    for pattern in (_META, _XML):
        if found := pattern.search(head):
            label = found.group(1).decode("ascii").lower()
            # A declaration that could be read byte by byte is not in UTF-16, whatever it says.
            labels.append("utf-8" if label.startswith("utf-16") else label)
    for label in [*labels, "utf-8"]:
        try:
            name = codecs.lookup(label.strip()).name
            if name not in _WESTERN:
                return html.decode("utf-8-sig" if name == "utf-8" else name)
            try:
                return html.decode("utf-8-sig")
            except UnicodeDecodeError:
                return html.decode("cp1252", errors="replace")
        except (LookupError, ValueError):  # unknown label, or one that the bytes contradict
            continue
    return html.decode("cp1252", errors="replace")

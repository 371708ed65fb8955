"""Bytes of an HTML page to text.

What lives here: the choice of the character encoding. What does not: parsing.
"""

from __future__ import annotations

import codecs
import re

_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Browsers read these labels as windows-1252, and so do the people who write them.
_WESTERN = frozenset({"ascii", "iso8859-1", "cp1252"})
# What browsers read the other labels as: the wider set that the pages are really in.
_WIDER = {
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
    "tis-620": "cp874",
}
_LABELS = {
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-cp1252": "cp1252",
    "unicode-1-1-utf-8": "utf-8",
}


def decode_html(html: bytes, header_charset: str | None = None) -> str:
    """Decode by the byte order mark, else the HTTP header, else the page's own declaration.

    A declaration that the bytes contradict is passed over for the next one, and a Western
    single-byte label yields to UTF-8 where the bytes are valid UTF-8: text that is really Latin-1
    is practically never so. A few bad bytes in a page that otherwise fits its declaration become
    U+FFFD. The last resort is windows-1252, so that no page is lost.

    Args:
        html: the page as it was sent.
        header_charset: ``charset`` of the Content-Type header.
    """
    head = _COMMENT.sub(b"", html[:4096])
    labels = [name for mark, name in _BOMS if html.startswith(mark)]
    labels.append(header_charset or "")
    for pattern in (_META, _XML):
        if found := pattern.search(head):
            label = found.group(1).decode("ascii").lower()
            # A declaration that could be read byte by byte is not in UTF-16, whatever it says.
            labels.append("utf-8" if label.startswith("utf-16") else label)
    for label in [*labels, "utf-8"]:
        if (text := _decoded(html, label.strip().lower())) is not None:
            return text
    return html.decode("cp1252", errors="replace")


def _decoded(html: bytes, label: str) -> str | None:
    """The text, or None for an unknown label or one that the bytes contradict."""
    try:
        name = codecs.lookup(_LABELS.get(label, label)).name
        name = _WIDER.get(name, name)
        if name in _WESTERN:
            try:
                return html.decode("utf-8-sig")
            except UnicodeDecodeError:
                return html.decode("cp1252", errors="replace")
        if name == "utf-8":
            name = "utf-8-sig"
        try:
            return html.decode(name)
        except UnicodeDecodeError:
            text = html.decode(name, errors="replace")
    except (LookupError, ValueError):
        return None
    bad = text.count("\ufffd")
    beyond = sum(len(run) for run in re.findall(r"[^\x00-\x7f]+", text))
    return text if bad * 5 <= beyond else None

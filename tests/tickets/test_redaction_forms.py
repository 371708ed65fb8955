"""Personal data in odd forms: capitals, characters that show nothing, pieces of URLs."""

from __future__ import annotations

import re

import pytest

from supportbot_dagster.tickets.engine import make_scan
from supportbot_dagster.tickets.known import Known
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.rules_web import customers_urls
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import strip_invisible

# Capitals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://ACME.TRACKLIGHT.EXAMPLE/board/7",
        "ACME.TRACKLIGHT.EXAMPLE/board/7",
        "ACME.TRACKLIGHT.EXAMPLE",
        "Acme.Tracklight.Example",
        "Acme.Tracklight.Example:8443",
        "APP.TRACKLIGHT.EXAMPLE/ACME",
    ],
)
def test_a_workspace_in_capitals_goes(redactor: Redactor, url: str) -> None:
    assert redactor.redact_text(f"We use {url} daily.") == "We use <WORKSPACE_URL> daily."


def test_the_vendor_s_own_hosts_stay_in_capitals(redactor: Redactor) -> None:
    text = "See DOCS.TRACKLIGHT.EXAMPLE, it is done.It works."
    assert redactor.redact_text(text) == text


# Characters that show nothing ---------------------------------------------------------------------

NOTHING = [
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\ufeff"),
    *map(chr, range(0x180B, 0x1810)),
    *map(chr, range(0x200B, 0x2010)),
    *map(chr, range(0x202A, 0x202F)),
    *map(chr, range(0x2060, 0x2070)),
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0000, 0xE1000, 64)),
    "\U000e0041",
    "\ufffc",
]


@pytest.mark.parametrize("char", NOTHING, ids=lambda char: f"{ord(char):x}")
def test_a_character_that_shows_nothing_parts_no_word(char: str) -> None:
    assert strip_invisible(f"da{char}na{char}{char}@ac{char}me") == "dana@acme"


def test_words_parted_by_what_shows_nothing_are_found(redactor: Redactor) -> None:
    hide = "\u034f\U000e0061\u2066\ufe0f\u200d"
    texts = [hide.join("dana@acme.example"), f"Whit{hide}field is here", f"Wh{hide}itfield's"]
    done = redactor.redact_all(texts, redactor.prepare(Known(names=("Dana Whitfield",))))
    assert done == ["<EMAIL>", "<PERSON> is here", "<PERSON>'s"]


@pytest.mark.parametrize(
    "text",
    [
        "love it ❤️ 👍🏽 1️⃣",
        "👨‍👩‍👧 and 👩🏽‍💻 and ❤️‍🔥 and 🏳️‍🌈",
        "plain",
        "naïve café – 10 €",
    ],
)
def test_other_text_and_emoji_stay(text: str) -> None:
    assert strip_invisible(text) == text


def test_a_link_hides_no_name_in_it(redactor: Redactor) -> None:
    known = redactor.prepare(Known(names=("Grace Hopper",)))
    assert not redactor.is_clean_link("https://docs.tracklight.example/u/Ho\u2061pper", known)


# URLs of which a piece goes -----------------------------------------------------------------------


def whole(text: str, *pieces: str, entity: str = "COMPANY") -> str:
    """The text with the URLs replaced that go with the pieces."""
    vendor = Vendor(name="tracklight", domains=("tracklight.example",))
    spans = [
        (entity, *match.span()) for piece in pieces for match in re.finditer(re.escape(piece), text)
    ]
    found = list(customers_urls(make_scan(text, vendor), spans))
    for kind, start, end in sorted(found, key=lambda item: -item[1]):
        text = f"{text[:start]}<{kind}>{text[end:]}"
    return text


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("at https://acme.zorb.example/x.", (".zorb.example",), "at <URL>."),
        ("at https://zorb.example/acme/b now", ("zorb",), "at <URL> now"),
        ("at acme-eu.zorb.com, ok", ("zorb",), "at <URL>, ok"),
        ("https://acme_eu.tracklight.example/x", (".tracklight.example",), "<WORKSPACE_URL>"),
        ("https://app.tracklight.example/acme/x", ("x",), "<WORKSPACE_URL>"),
        ("https://support.zorb.com/acme", ("zorb",), "<URL>"),
        ("https://github.com/acme/x and zorb", ("x",), "<URL> and zorb"),
        # the vendor's and other public pages lose the piece alone
        ("https://docs.tracklight.example/a", ("a",), None),
        ("https://docs.tracklight.example/help/zorb.html", ("zorb",), None),
        ("https://github.com/features/zorb", ("zorb",), None),
        ("https://docs.tracklight.example/a?token=k3yk3yk3y", ("k3yk3yk3y",), None),
        # nothing of these goes, or all of it already
        ("https://zorb.example/acme", (), None),
        ("zorb: https://acme.example/x", ("zorb:",), None),
        ("https://zorb.example/acme", ("https://zorb.example/acme",), None),
        ("ask zorb.in the morning, node.js too", ("zorb", "node"), None),
        ("mail dana@eu.zorb.com", ("zorb",), None),
        ("https://acme<WORKSPACE_URL>/x", ("acme",), None),
    ],
)
def test_a_customer_s_url_goes_as_a_whole(
    text: str, pieces: tuple[str, ...], expected: str | None
) -> None:
    assert whole(text, *pieces) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://zorb-labs.atlassian.net/browse/X-1 here", "see <> here"),
        ("our https://www.zorb.com/prices?x=1 is down", "our <> is down"),
        ("it is https://eu-acme.zorb.io/hr/acme/7, ok?", "it is <>, ok?"),
    ],
)
def test_nothing_of_a_url_stays_beside_its_placeholder(
    redactor: Redactor, text: str, expected: str
) -> None:
    known = redactor.prepare(Known(companies=("Zorb Labs",)))
    assert re.sub("<[A-Z_]+>", "<>", redactor.redact(text, known)) == expected


@pytest.mark.parametrize("entity", ["SECRET", "EMAIL", "PERSON"])
def test_a_url_that_only_holds_personal_data_keeps_the_rest(entity: str) -> None:
    text = "https://api.weather.net/v1/forecast?appid=k3y"
    assert whole(text, "k3y", entity=entity) == text
    assert whole(text, "weather", entity=entity) == "<URL>"
    assert whole("https://acme.tracklight.example/join/k3y", "k3y", entity=entity) == (
        "<WORKSPACE_URL>"
    )


def test_a_docs_url_keeps_its_host(redactor: Redactor) -> None:
    known = redactor.prepare(Known(companies=("Zorbolt Labs",)))
    done = redactor.redact("See https://docs.tracklight.example/help/zorbolt.html please", known)
    assert done == "See https://docs.tracklight.example/help/<COMPANY>.html please"


def test_many_urls_and_many_pieces_take_linear_steps() -> None:
    scan = make_scan("https://zorb.example/a " * 2000, Vendor())
    pieces = [("URL", 23 * number + 8, 23 * number + 12) for number in range(2000)]
    assert len(list(customers_urls(scan, pieces))) == 2000

from __future__ import annotations

import time

import pytest

from supportbot_dagster.synthesis.facts import (
    addresses,
    codes,
    menu_paths,
    number_words,
    numbers,
    shortcuts,
    unsupported,
)

SECTION = """
Open **Settings > General > Workspace URL** and type the new name. The old address redirects for
30 days. You can import up to 1,000 issues at once, files of at most 5 MB each.

Press `Cmd` + `Shift` + `E`, or Ctrl+Shift+E on Windows. Error TL-409 means that the name is taken.
See [pricing](https://tracklight.example/pricing) or write to support@tracklight.example.
Deleted teams can be restored for fourteen days.
"""


@pytest.mark.parametrize(
    "answer",
    [
        "Go to Settings > General > Workspace URL. The old one redirects for 30 days.",
        "It redirects for thirty days.",
        "Open Settings > General. It is also found in Settings.",
        "In Settings > General you find it.",
        "Go to Settings → General and choose Workspace URL.",
        "Up to 1000 issues, 5 MB each.",
        "Up to 1,000 issues of 5MB.",
        "Press Cmd+Shift+E or Ctrl + Shift + E.",
        "TL-409 means that the name is taken.",
        "See https://tracklight.example/pricing, or write to support@tracklight.example.",
        "See tracklight.example/pricing.",
        "You can restore a team for 14 days.",
        "There are two ways to do it.",
        "Up to one thousand issues at once.",
        "Ready for upload: files of five megabytes.",
        "Go to Settings -> General » Workspace URL.",
        "Files of ５ MB each.",
        "There is a 30-day redirect.",
        "",
    ],
)
def test_what_the_section_says_is_supported(answer: str) -> None:
    assert unsupported(answer, [SECTION]) == []


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("The old one redirects for 90 days.", "90"),
        ("The old one redirects for ninety days.", "90"),
        ("Up to 10,000 issues.", "10000"),
        ("Files of 50MB are fine.", "50"),
        ("It takes 24h.", "24"),
        ("It costs $8.", "8"),
        ("Go to Settings > Billing.", "settings > billing"),
        ("Go to Workspace URL > Settings.", "workspace url > settings"),
        ("Go to Preferences > General.", "preferences > general"),
        ("Press Cmd+Shift+X.", "cmd+shift+x"),
        ("Press Cmd+Shift.", "cmd+shift"),
        ("Press Ctrl + E.", "ctrl+e"),
        ("TL-408 means that.", "TL-408"),
        ("TL-40 means that.", "TL-40"),
        ("See https://tracklight.example/plans.", "tracklight.example/plans"),
        ("See https://tracklight.example/pri", "tracklight.example/pri"),
        ("See light.example.", "light.example"),
        ("The old one redirects for sixteen days.", "16"),
        ("It takes twenty-five minutes.", "25"),
        ("Up to two hundred and five issues.", "205"),
        ("It takes 45minutes.", "45"),
        ("A dozen of them.", "12"),
        ("Three users may do it.", "3"),
        ("Within １６ days.", "16"),
        ("See tracklight.example/pricing/x.", "tracklight.example/pricing/x"),
        ("See acme.dev/x.", "acme.dev/x"),
        ("See ACME.IO/q now.", "acme.io/q"),
        ("See my-acme.co now.", "my-acme.co"),
        ("See ftp://tracklight.example/a.", "ftp://tracklight.example/a"),
        ("Go to Settings -> Billing.", "settings > billing"),
        ("Go to Settings » Billing.", "settings > billing"),
        ("The old one redirects for 30 minutes.", "30 minute"),
        ("It is 30 euros.", "30 as a price"),
        ("It costs $30 a seat.", "30 as a price"),
        ("Write to help@tracklight.example.", "help@tracklight.example"),
        ("Write to port@tracklight.example.", "port@tracklight.example"),
    ],
)
def test_what_it_does_not_say_is_unsupported(answer: str, fact: str) -> None:
    assert unsupported(answer, [SECTION]) == [fact]


def test_any_of_the_sources_supports() -> None:
    assert unsupported("Settings > API, 7 keys.", ["Settings > API", "at most 7 keys"]) == []
    assert unsupported("Settings > API, 7 keys.", []) == ["7", "settings > api"]


def test_a_path_is_no_part_of_another_and_a_host_none_of_a_longer_one() -> None:
    source = "See https://acme.io/x/y, and allow *.live.acme.io in your firewall."
    assert unsupported("See acme.io/x/y/.", [source]) == []
    assert unsupported("Allow *.live.acme.io.", [source]) == []
    assert unsupported("See acme.io/x.", [source]) == ["acme.io/x"]
    assert unsupported("See me.io.", [source]) == ["me.io"]
    assert unsupported("Allow live.acme.io.evil.com.", [source]) == ["live.acme.io.evil.com"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("two hundred and five", {"205"}),
        ("nineteen ninety", {"19", "90"}),
        ("two thousand three hundred and twelve", {"2312"}),
        ("half a million", {"1000000"}),
        ("one and two days", {"2"}),
        ("seven or eight hours", {"8"}),
        ("two dozen", {"24"}),
        ("one file, two files", {"2"}),
        ("one-time", {"1"}),
        ("zero ways, three-dot menu", set()),
    ],
)
def test_numbers_in_words(words: str, said: set[str]) -> None:
    assert number_words(words) == said


@pytest.mark.parametrize(
    "text", ["a." * 20_000, "a-" * 20_000, "x@" * 20_000, "A > " * 9_000, "one and " * 9_000]
)
def test_a_text_made_to_keep_the_reader_busy_does_not(text: str) -> None:
    started = time.process_time()
    unsupported(text, [text])
    assert time.process_time() - started < 8


def test_the_extractors() -> None:
    assert numbers("v2, OAuth2, 2.5 or 12:30; TL-409, a1@b.example, x.example/3 but 7.") == {
        "2.5",
        "12:30",
        "7",
    }
    assert number_words("Thirty days, two ways, ten business days") == {"30", "10"}
    assert menu_paths("Open Team settings > Workflow, then save") == {"team settings > workflow"}
    assert shortcuts("Shift+Enter or Cmd + K") == {"shift+enter", "cmd+k"}
    assert codes("TL-409 and AB-1, not T-1") == {"TL-409", "AB-1"}
    assert addresses("https://a.example/x). Mail me@b.example!") == {"a.example/x", "me@b.example"}

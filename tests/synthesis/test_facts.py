from __future__ import annotations

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
        ("Write to help@tracklight.example.", "help@tracklight.example"),
        ("Write to port@tracklight.example.", "port@tracklight.example"),
    ],
)
def test_what_it_does_not_say_is_unsupported(answer: str, fact: str) -> None:
    assert unsupported(answer, [SECTION]) == [fact]


def test_any_of_the_sources_supports() -> None:
    assert unsupported("Settings > API, 7 keys.", ["Settings > API", "at most 7 keys"]) == []
    assert unsupported("Settings > API, 7 keys.", []) == ["7", "settings > api"]


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

"""Names known from metadata: other scripts, what is the vendor's own, the time that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, SupportsIndex

import pytest

from supportbot_dagster.tickets.engine import Analyzed, make_scan
from supportbot_dagster.tickets.known import (
    Known,
    KnownIndex,
    caseless,
    may_recur,
    without_vendor,
)
from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.rule import Scan
from supportbot_dagster.tickets.vendor import Vendor


def hits(known: Known, text: str) -> list[str]:
    """What of a text is found, in order."""
    spans = KnownIndex(known).spans(make_scan(text, Vendor()))
    return [text[start:end] for start, end in sorted({span for _, span in spans})]


# Other scripts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Иванов", "ИВАНОВ пишет, иванов тоже", ["ИВАНОВ", "иванов"]),
        ("АЛЁНА", "Это Алена и алёна", ["Алена", "алёна"]),
        ("Παπαδόπουλος", "ΠΑΠΑΔΟΠΟΥΛΟΣ, παπαδοπουλοσ", ["ΠΑΠΑΔΟΠΟΥΛΟΣ", "παπαδοπουλοσ"]),
        ("ΓΙΩΡΓΟΣ", "ο Γιώργος", ["Γιώργος"]),
        ("Պետրոսյան", "ՊԵՏՐՈՍՅԱՆ եմ", ["ՊԵՏՐՈՍՅԱՆ"]),
        ("Иванов Ivan", "ИВАНОВ", ["ИВАНОВ"]),
        ("Иванов", "спросите Иванова и Ивановичем", ["Иванова", "Ивановичем"]),
        ("علی رضایی", "من رضایی هستم", ["رضایی"]),
        ("田中", "私は田中です", ["田中"]),
    ],
)
def test_a_name_in_another_script_is_found_in_any_case(
    name: str, text: str, found: list[str]
) -> None:
    assert hits(Known(names=(name,)), text) == found


def test_a_company_in_another_script_is_found_in_any_case() -> None:
    assert hits(Known(companies=("Ромашка",)), "Я из РОМАШКА") == ["РОМАШКА"]


def test_a_short_name_is_no_part_of_a_word() -> None:
    text = "если или были, ЛИСТ, Ли здесь"
    assert hits(Known(names=("Ли",)), text) == ["Ли"]


def test_the_case_of_other_scripts_goes_one_for_one() -> None:
    text = "ΐ ΰ İ ẞ և ἈΘΉΝΑ Ёж ӔԱ Ⴀ Ꭰ"
    assert len(caseless(text)) == len(text)
    capitals = "АБВГДЖЯЂЏҐӘԱԲՖΑΒΓΩⰀⲀ"
    assert caseless(capitals) == capitals.lower()
    assert caseless("ςσ") == "σσ"


def test_a_name_with_characters_that_show_nothing_is_found() -> None:
    assert hits(Known(names=("Da\u200bna\u00ad",)), "dana wrote") == ["dana"]
    assert hits(Known(names=("می\u200cنا",)), "مینا") == ["مینا"]


# What is the vendor's -----------------------------------------------------------------------------

REPLY = (
    "Open Tracklight, see https://docs.tracklight.example/help/jira.html, connect Jira or GitHub "
    "and write to support@tracklight.example."
)


@pytest.mark.parametrize(
    "known",
    [
        Known(emails=("support@tracklight.example",)),
        Known(emails=("Support@Tracklight.Example",)),
        Known(emails=("tracklight-bot@tracklight.example",)),
        Known(names=("support@tracklight.example",)),
        Known(names=("Tracklight Support <support@tracklight.example>",)),
        Known(names=("Tracklight", "Tracklight Support", "Zoe (Tracklight)", "Tracklight team")),
        Known(companies=("Tracklight", "Tracklight Inc.", "GitHub, Inc.", "Jira")),
        Known(companies=("tracklight.example",)),
        Known(domains=("tracklight.example", "docs.tracklight.example")),
        Known(secrets=("tracklight",)),
    ],
)
def test_what_is_the_vendor_s_is_no_customer_s(redactor: Redactor, known: Known) -> None:
    assert redactor.redact(REPLY, redactor.prepare(known)) == REPLY


def test_a_vendor_of_two_words_keeps_its_name() -> None:
    vendor = Vendor(name="example vendor", domains=("example-vendor.com",))
    known = Known(
        names=("Zoe | Example Vendor",),
        companies=("Example Vendor GmbH", "Example-Vendor"),
        emails=("zoe@example-vendor.com",),
        domains=("example-vendor.io",),
    )
    index = KnownIndex(without_vendor(known, vendor), vendor.words)
    text = "Is Example Vendor down? See docs.example-vendor.com, asks Zoe"
    spans = [span for _, span in index.spans(make_scan(text, vendor))]
    assert [text[start:end] for start, end in spans] == ["Zoe"]


def test_a_person_at_the_vendor_s_mail_host_is_still_known(redactor: Redactor) -> None:
    known = redactor.prepare(Known(emails=("zbigniew.k@tracklight.example",)))
    done = redactor.redact("zbigniew said: docs.tracklight.example", known)
    assert done == "<PERSON> said: docs.tracklight.example"


def test_a_customer_with_a_word_of_the_vendor_s_is_still_known(vendor: Vendor) -> None:
    known = Known(names=("Jordan Slack", "Se"), companies=("Linear Labs", "Co"))
    assert without_vendor(known, vendor) == known


# Time ---------------------------------------------------------------------------------------------


class Counted(str):
    """A text that counts the characters that are looked at."""

    looked: int = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = str.__getitem__(self, key)
        self.looked += len(part)
        return part

    def find(self, *args: Any) -> int:
        return self._sought(str.find(self, *args), args)

    def rfind(self, *args: Any) -> int:
        return self._sought(str.rfind(self, *args), args)

    def _sought(self, found: int, args: tuple[Any, ...]) -> int:
        start, stop = (*args[1:], None, None)[:2]
        self.looked += len(range(*slice(start, stop).indices(len(self))))
        return found


def looked_at(count: int) -> int:
    """Characters looked at to judge a name that is a word, ``count`` times in one line."""
    text = Counted("so then we asked Mark about the thing and " * count)
    scan = Scan(text, text.lower(), Vendor(), 0)
    index = KnownIndex(Known(names=("Mark",)))
    assert len(list(index.spans(scan))) == count
    return text.looked


def test_a_long_line_is_not_read_for_every_name_in_it() -> None:
    assert looked_at(400) < 5 * looked_at(100)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of the fastest of three."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def names_with_one_beginning(count: int) -> tuple[str, ...]:
    return tuple(f"mark ab{number}" for number in range(count))


def test_many_names_with_one_beginning_take_linear_time() -> None:
    def index(count: int) -> KnownIndex:
        return KnownIndex(Known(companies=names_with_one_beginning(count)))

    # four times as much takes four times as long, and sixteen times if all are compared with all
    assert seconds(lambda: index(8000)) < 9 * seconds(lambda: index(2000))


def test_many_names_with_one_beginning_are_found_in_linear_time() -> None:
    def finding(count: int) -> Callable[[], object]:
        names = names_with_one_beginning(count)
        index = KnownIndex(Known(companies=names))
        scan = make_scan(", ".join(f"{name}x" for name in names), Vendor())
        return lambda: list(index.spans(scan))

    assert seconds(finding(4000)) < 9 * seconds(finding(1000))


def test_a_known_host_at_the_end_of_a_long_word_takes_linear_time() -> None:
    index = KnownIndex(Known(domains=("northpeak.example",)))

    def finding(count: int) -> Callable[[], object]:
        scan = make_scan("a" * count + " northpeak.example", Vendor())
        return lambda: list(index.spans(scan))

    assert seconds(finding(20_000)) < 9 * seconds(finding(5000)) + 0.01


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://my.northpeak.example/a?b and", "https://my.northpeak.example/a?b"),
        ("mail dana@northpeak.example", "northpeak.example"),
        ("northpeak.examples are", None),
        ("...northpeak.example", "northpeak.example"),
    ],
)
def test_a_known_host_goes_with_all_of_its_address(text: str, found: str | None) -> None:
    spans = KnownIndex(Known(domains=("northpeak.example",))).spans(make_scan(text, Vendor()))
    assert [text[start:end] for entity, (start, end) in spans if entity == "URL"] == [found][
        : found is not None
    ]


def test_what_is_too_long_for_a_name_is_not_looked_for_elsewhere(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[Known] = []
    monkeypatch.setattr(redactor, "prepare", prepared.append)
    text = "x" * 81 + " " + "y" * 80
    analyzed = [Analyzed(text, make_scan(text, Vendor()), [])]
    redactor._prepare_found({("SECRET", "x" * 81), ("PERSON", "y" * 80)}, analyzed)
    (known,) = prepared
    assert known == Known(names=("y" * 80,))


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("Dana Whitfield", "dana"),
        ("Dana Whitfield", "whitfield's"),
        ("Dana Whitfield", "dwhitfield"),
        ("Dana Whitfield", "danaw"),
        ("Dana Whitfield", "dana w"),
        ("Sean O'Brien", "obrien"),
        ("Lea Süß", "suß"),
        ("Анна Петрова", "ПЕТРОВА"),
    ],
)
def test_each_form_in_which_a_name_is_found_may_recur(name: str, again: str) -> None:
    scan = make_scan(f"we wrote to {again} today", Vendor())
    assert list(KnownIndex(Known(names=(name,))).spans(scan))
    assert may_recur(name, scan.lower)
    assert not may_recur(name, "nobody is called so")

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.tickets.engine import NAME_RECOGNIZERS, PLACEHOLDER
from supportbot_dagster.tickets.persons import CLOSING_LINE
from supportbot_dagster.tickets.redaction import Redactor, doubts, redact_rows
from supportbot_dagster.tickets.rules import RULES
from supportbot_dagster.tickets.vendor import Vendor
from supportbot_dagster.tickets.words import COMMON, Words


@pytest.fixture(scope="module")
def labelled(data: Path) -> list[dict[str, Any]]:
    return read_jsonl(data / "labelled.jsonl")


@pytest.fixture(scope="module")
def look_alikes(data: Path) -> list[str]:
    return (data / "look_alikes.txt").read_text(encoding="utf-8").splitlines()


def leaks(redactor: Redactor, rows: list[dict[str, Any]]) -> list[str]:
    """Ids of the rows of which a raw value survives."""
    found = []
    for row in rows:
        text = redactor.redact_text(row["text"], row["known_names"]).lower()
        if any(value.lower() in text for value in row["gone"]):
            found.append(row["id"])
    return found


def test_no_labelled_value_survives(redactor: Redactor, labelled: list[dict[str, Any]]) -> None:
    assert len(labelled) >= 80
    assert leaks(redactor, labelled) == []


def test_the_words_around_a_value_stay(redactor: Redactor, labelled: list[dict[str, Any]]) -> None:
    lost = {
        row["id"]: part
        for row in labelled
        for part in row["kept"]
        if part not in redactor.redact_text(row["text"], row["known_names"])
    }
    assert lost == {}


def test_look_alikes_stay_unchanged(redactor: Redactor, look_alikes: list[str]) -> None:
    assert len(look_alikes) >= 40
    changed = {text: redactor.redact_text(text) for text in look_alikes}
    assert {text: done for text, done in changed.items() if text != done} == {}


@pytest.mark.parametrize(
    "recognizer",
    ["email", "phone", "card", "secret", "password", "reference", "address", "person", "known"],
)
def test_the_labelled_set_notices_a_missing_recognizer(
    recognizer: str, vendor: Vendor, labelled: list[dict[str, Any]]
) -> None:
    crippled = Redactor(vendor, without=frozenset({recognizer}))
    assert leaks(crippled, [row for row in labelled if row["kind"] == recognizer])


def test_redacting_twice_changes_nothing(
    redactor: Redactor, labelled: list[dict[str, Any]]
) -> None:
    for row in labelled:
        once = redactor.redact_text(row["text"], row["known_names"])
        assert redactor.redact_text(once, row["known_names"]) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail dana@acme.example", "mail <EMAIL>"),
        ("my ip is 192.0.2.17", "my ip is <IP>"),
        ("card 4242 4242 4242 4242", "card <CARD>"),
        ("call +44 20 7946 0123", "call <PHONE>"),
        ("invoice INV-2026-0231", "invoice <REFERENCE>"),
        ("key tl_live_9f8e7d6c5b4a3f2e1d", "key <SECRET>"),
        ("app.tracklight.example/northpeak is slow", "<WORKSPACE_URL> is slow"),
        ("born 14/02/1979", "born <DATE_OF_BIRTH>"),
        ("device 00:1B:44:11:3A:B7", "device <MAC>"),
        ("my colleague Oluchi left", "my colleague <PERSON> left"),
    ],
)
def test_placeholders_are_typed(redactor: Redactor, text: str, expected: str) -> None:
    assert redactor.redact_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dear Dr. Penhallow,\n\nThank you", "Dear Dr. <PERSON>,\n\nThank you"),
        ("Hello Ms. Castellanos,\n\nAll done", "Hello Ms. <PERSON>,\n\nAll done"),
        ("It works again.\n\nViele Grüße,\nRuth", "It works again.\n\nViele Grüße,\n<PERSON>"),
        (
            "Where?\nViele Grüße\nGregor Zimmerling\nUSt-IdNr. DE123456789",
            "Where?\nViele Grüße\n<PERSON>\nUSt-IdNr. <ID>",
        ),
        ("Gracias por la paciencia,\nTomás", "Gracias por la paciencia,\n<PERSON>"),
        ("Matthias Brückner, Tel. +49 30 23125 418", "<PERSON>, Tel. <PHONE>"),
        (
            "We are closed.\nThanks\nPia Ruhl\nVAT DE123456789",
            "We are closed.\nThanks\n<PERSON>\nVAT <ID>",
        ),
        ("Do they survive?\nLindiwe, 555-0150", "Do they survive?\n<PERSON>, <PHONE>"),
        (
            "Is it on?\n\nHoward Finch\n22 Quayside Terrace, Marlow Sands, MS4 0ZZ",
            "Is it on?\n\n<PERSON>\n<ADDRESS>",
        ),
        ("It was its owner, Derek Mills.", "It was its owner, <PERSON>."),
        ("The owner is my partner Svea Rehn", "The owner is my partner <PERSON>"),
        ("An Owner can do it, owner@acme.example", "An Owner can do it, <EMAIL>"),
    ],
    ids=lambda value: value[:24],
)
def test_what_surrounds_a_value_is_no_part_of_it(
    redactor: Redactor, text: str, expected: str
) -> None:
    assert redactor.redact_text(text, ["owner@acme.example"]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # secrets that no label stands beside
        (
            "the root password is lost, the note has Kn0bb1y-92",
            "the root password is lost, the note has <SECRET>",
        ),
        (
            "the gate code you texted (7719#) is refused",
            "the gate code you texted (<SECRET>) is refused",
        ),
        ("He forgot the mpin. I tried 2580 twice", "He forgot the mpin. I tried <SECRET> twice"),
        ("revoke the token ending ..9fQx", "revoke the token ending <SECRET>"),
        (
            "a photo of my ID; I'd rather type it: X4RTBPFW4",
            "a photo of my ID; I'd rather type it: <ID>",
        ),
        # handles
        (
            "the gist of our contractor @nadav-codes is gone",
            "the gist of our contractor <HANDLE> is gone",
        ),
        ("unlink my psn, it's Frostbyte_Kev", "unlink my psn, it's <HANDLE>"),
        ("the login aoife.brannigan is blocked", "the login <PERSON> is blocked"),
        # dates of birth
        ("he was born on the 3rd of March '62", "he was born on the <DATE_OF_BIRTH>"),
        ("je suis ne le 7 juillet 1991", "je suis ne le <DATE_OF_BIRTH>"),
        ("child Ada Lis, ur. 12.05.2014, is ill", "child <PERSON>, ur. <DATE_OF_BIRTH>, is ill"),
        ("Rosaline Achterkamp, 1959-11-02, passed", "<PERSON>, <DATE_OF_BIRTH>, passed"),
        # addresses
        ("we're 14 heather bank, ilkley. hello", "we're <ADDRESS>. hello"),
        ("house is in lajos utca 12, 6720 szeged", "house is in <ADDRESS>"),
        ("old place, 18 rue des Tanneurs, 67000 Lyon, and", "old place, <ADDRESS>, and"),
        # companies
        ("my boss at Greenhaugh Nurseries will see it", "my boss at <COMPANY> will see it"),
        ("hi this is paula from zenith nails.", "hi this is <PERSON> from <COMPANY>."),
        ("new account in the name of Kaashandel Zoet.", "new account in the name of <COMPANY>."),
        ("Our little choir (Cantoria Vale Singers) sings", "Our little choir (<COMPANY>) sings"),
        # persons
        ("the Petrovics at the back door", "the <PERSON> at the back door"),
        (
            "everybody is in except ruairi and siobhan k.",
            "everybody is in except <PERSON> and <PERSON>",
        ),
        ("it has LINDGREN/ASTRID MRS on it", "it has <PERSON> MRS on it"),
        # references
        (
            "My file no. is EXP-2201-M, hers EXP-2210-M",
            "My file no. is <REFERENCE>, hers <REFERENCE>",
        ),
        ("transaction id PP240612.1044.C83310", "transaction id <REFERENCE>"),
        ("Van KX19 ZZA is sold", "Van <REFERENCE> is sold"),
    ],
    ids=lambda value: value[:24],
)
def test_what_only_the_sentence_gives_away(redactor: Redactor, text: str, expected: str) -> None:
    assert redactor.redact_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a word after the street may begin what could be a street as well
        ("i live at 12 elm street near the park", "i live at <ADDRESS> near the park"),
        ("send it to 4 mill hill close please", "send it to <ADDRESS> please"),
        ("22 elm st apt 4 tucson az 85701", "<ADDRESS>"),
        # a value that holds the word "code", and codes that somebody made up
        ("password: Decoder-Ring", "password: <SECRET>"),
        ("passcode: swordfish", "passcode: <SECRET>"),
        ("pin code: bluebell", "pin code: <SECRET>"),
        ("recovery codes: click", "recovery codes: click"),
        # offices, the customer's and the product's
        ("Can you reply to service@mueller-dachdecker.de?", "Can you reply to <EMAIL>?"),
        (
            "the public page of our shop shows support@hargreaves.example",
            "the public page of our shop shows <EMAIL>",
        ),
        ("Please send the docs to service@mueller.de", "Please send the docs to <EMAIL>"),
        (
            "Your website shows support@hargreaves.example",
            "Your website shows support@hargreaves.example",
        ),
        # a page that is spoken of makes no example of what was typed there
        ("Your site rejects my NI number AB123456C", "Your site rejects my NI number <ID>"),
        ("I typed 4532 0151 1283 0367 on your site", "I typed <CARD> on your site"),
        (
            "The form accepts DE123456789 only without spaces",
            "The form accepts <ID> only without spaces",
        ),
        ("my new visa, exp 09/27", "my new visa, exp <CARD>"),
        ("The API key: exp 09/27", "The API key: exp 09/27"),
        ("The dummy card 4532 0151 1283 0367", "The dummy card 4532 0151 1283 0367"),
        # an issue of the form of an invoice that stands before it
        (
            "My invoice INV-4471 is wrong, it blocks ENG-1423",
            "My invoice <REFERENCE> is wrong, it blocks ENG-1423",
        ),
        (
            "My file no. is EXP-2201-M. The page shows error EXQ-2210-M",
            "My file no. is <REFERENCE>. The page shows error EXQ-2210-M",
        ),
        # a year alone, and a handle after its label
        ("My son Tom (b. 2019) is allergic", "My son <PERSON> (b. <DATE_OF_BIRTH>) is allergic"),
        ("telegram: spacemoth_22", "telegram: <HANDLE>"),
        ("skype live:spacemoth.22", "skype <HANDLE>"),
        ("my insta silver_fox is banned", "my insta <HANDLE> is banned"),
    ],
    ids=lambda value: value[:24],
)
def test_what_is_told_apart_by_a_word(redactor: Redactor, text: str, expected: str) -> None:
    assert redactor.redact_text(text) == expected


def test_a_long_list_of_references_is_found_to_its_end(redactor: Redactor) -> None:
    numbers = [f"{50911 + number}" for number in range(2000)]
    start = time.perf_counter()
    done = redactor.redact_text("order nos " + ", ".join(numbers))
    assert time.perf_counter() - start < 10
    assert done == "order nos " + ", ".join(["<REFERENCE>"] * len(numbers))


def test_a_closing_line_of_many_parts_takes_no_time() -> None:
    # in a process of its own, because a pattern that backtracks without end cannot be stopped
    code = (
        "from supportbot_dagster.tickets.persons import CLOSING_LINE\n"
        "for head in ('thanks', 'x. thanks', 'looking forward', 'have a good'):\n"
        "    for part in (' for a', ' for all', ' all', ' and a regards', ' thanks for a.'):\n"
        "        CLOSING_LINE.match((head + part * 1250)[:5000] + '?')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_closing_line_has_its_parts() -> None:
    assert CLOSING_LINE.match("thanks a lot for your help, team") is None
    for line in ("thanks so much again in advance", "thanks a lot for all the help", "cheers all"):
        assert CLOSING_LINE.match(line)


def test_the_kind_of_a_word_does_not_depend_on_the_words_before() -> None:
    nothing: frozenset[str] = frozenset()
    fresh = Words(nothing, nothing, nothing, nothing, {"sync": COMMON})
    later = Words(nothing, nothing, nothing, nothing, {"sync": COMMON})
    assert later.kind("syncing") == COMMON
    assert later.kind("unsyncing") == fresh.kind("unsyncing")
    assert set(later.kinds) == {"sync"}


def test_the_name_of_a_thing_counts_in_the_whole_conversation(redactor: Redactor) -> None:
    texts = [
        "Project Ganymede does not show up on the roadmap.",
        "You find Ganymede in the tray. Only while Ganymede is planned, Oluchi can see it.",
    ]
    done = redactor.redact_all(texts)
    assert done[0] == texts[0]
    assert done[1] == texts[1].replace("Oluchi", "<PERSON>")


def test_known_names_in_any_form(redactor: Redactor) -> None:
    text = "DANA said: dana's and Whitfields board. d.whitfield too"
    done = redactor.redact_text(text, ["Dana Whitfield"])
    assert "dana" not in done.lower()
    assert "whitfield" not in done.lower()


def test_a_known_name_that_is_a_word_leaves_the_word_alone(redactor: Redactor) -> None:
    done = redactor.redact_text(
        "Mark all as read. Will it work? I asked Will and Mark.", ["Mark Will", "Will Mark"]
    )
    assert done == "Mark all as read. Will it work? I asked <PERSON> and <PERSON>."


def test_known_companies_and_mailboxes(redactor: Redactor) -> None:
    done = redactor.redact_text(
        "northpeak's board at intranet.northpeak.example, see Northpeak Labs",
        known_companies=["Northpeak Labs"],
        known_emails=["dana@northpeak.example"],
    )
    assert "northpeak" not in done.lower()


def test_a_name_found_once_counts_everywhere(redactor: Redactor) -> None:
    texts = ["my name is Radoslav Iliev", "then radoslav could sign in"]
    assert redactor.redact_all(texts) == ["my name is <PERSON>", "then <PERSON> could sign in"]


def test_zero_width_characters_hide_nothing(redactor: Redactor) -> None:
    assert redactor.redact_text("da\u200bna@acme\u200b.example") == "<EMAIL>"
    assert redactor.redact_text("dana\uff20acme.example") == "<EMAIL>"


def test_every_recognizer_can_be_left_out(vendor: Vendor) -> None:
    redactor = Redactor(vendor, without=frozenset(RULES) | frozenset(NAME_RECOGNIZERS) - {"person"})
    assert redactor.redact_text("dana@acme.example") == "dana@acme.example"
    with pytest.raises(ValueError, match="no recognizer is called emial"):
        Redactor(vendor, without=frozenset({"emial"})).redact_text("x")


def test_the_vendor_is_read_from_the_product() -> None:
    vendor = Vendor.of(load_product(sample_product_file()))
    assert vendor.domains == ("tracklight.example",)
    assert vendor.owns_host("docs.tracklight.example")
    assert not vendor.owns_host("tracklight.example.evil.example")
    assert vendor.is_docs_link("https://docs.tracklight.example/help/x.html")
    assert not vendor.is_docs_link("https://app.tracklight.example/help/x.html")


def test_rows_keep_their_order_and_number(redactor: Redactor) -> None:
    rows = [
        {"id": 2, "text": "hi, dana here", "known_names": ["Dana Whitfield", "d@acme.example"]},
        {"id": "b", "text": ""},
        {"id": 1, "text": "line one\nline two"},
    ]
    done = list(redact_rows(rows, redactor))
    assert [row["id"] for row in done] == [2, "b", 1]
    assert done[0]["text"] == "hi, <PERSON> here"
    assert done[2]["text"] == "line one\nline two"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "secret words"}, "row 2 has no 'id'"),
        ({"id": 1}, "row 2 has no 'text'"),
        ({"id": 1, "text": ["secret words"]}, "row 2: text is not a string"),
        ({"id": 1, "text": "secret words", "known_names": "Dana"}, "known_names is not a list"),
        ({"id": 1, "text": "secret words", "known_names": [1]}, "known_names holds a non-string"),
        ("secret words", "row 2 is not an object"),
    ],
)
def test_a_malformed_row_is_named_but_not_quoted(
    redactor: Redactor, row: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        list(redact_rows([{"id": 0, "text": "fine"}, row], redactor))
    assert "secret words" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_raw_is_logged(redactor: Redactor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        redactor.redact_text("my password is hunter2, dana@acme.example, dana", ["Dana Whitfield"])
    assert "hunter2" not in caplog.text
    assert "acme.example" not in caplog.text


def test_doubts_name_reasons_without_text(vendor: Vendor) -> None:
    assert doubts("How do I bulk-archive ENG-142?", vendor) == []
    assert doubts("write to support@tracklight.example", vendor) == []
    assert doubts("number 12345678901", vendor) == ["long number"]
    assert doubts("the note of Kwabzi Zorblatt is gone", vendor) == ["capitalised pair"]
    assert doubts("x@y", vendor) == ["at sign"]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 50_000,
        "1 " * 25_000,
        "a@" * 25_000,
        "A. " * 15_000,
        "password " * 5_000,
        "https://" + "a/" * 20_000,
        "Ann " * 12_000,
        "- " * 25_000,
        "\n" * 50_000,
        "1.2.3.4." * 6_000,
        ("x" * 30 + ".") * 1_500,
        "rue de la " * 5_000,
        "thanks, " * 6_000,
    ],
)
def test_long_odd_texts_take_linear_time(redactor: Redactor, text: str) -> None:
    redactor.redact_text("warm up")
    start = time.perf_counter()
    redactor.redact_text(text)
    assert time.perf_counter() - start < 10


def test_importing_the_package_imports_no_model_library() -> None:
    code = (
        "import sys\n"
        "import supportbot_dagster.tickets.conversations\n"
        "import supportbot_dagster.tickets.single_turn\n"
        "heavy = {'presidio_analyzer', 'presidio_anonymizer', 'spacy', 'langdetect'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_labelled_set_is_well_formed(labelled: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in labelled}) == len(labelled)
    for row in labelled:
        assert row["kind"] in {*RULES, *NAME_RECOGNIZERS}
        assert all(value in row["text"] for value in (*row["gone"], *row["kept"]))
        assert not PLACEHOLDER.search(json.dumps(row))


def test_a_lone_surrogate_is_replaced_so_that_the_text_can_be_written(redactor: Redactor) -> None:
    redacted = redactor.redact_text("how do i \ud800 export, write to jane@acme.example")
    assert redacted == "how do i \ufffd export, write to <EMAIL>"
    redacted.encode("utf-8")

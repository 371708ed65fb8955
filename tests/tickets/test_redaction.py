import json
import logging
import re
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
from supportbot_dagster.tickets.known import Known
from supportbot_dagster.tickets.redaction import Redactor, redact_rows
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


def test_redacting_twice_changes_next_to_nothing(
    redactor: Redactor, labelled: list[dict[str, Any]]
) -> None:
    """The tagger reads placeholders as what they are; without that, half of the rows change."""
    changed = []
    for row in labelled:
        once = redactor.redact_text(row["text"], row["known_names"])
        if redactor.redact_text(once, row["known_names"]) != once:
            changed.append(row["id"])
    assert len(changed) <= 0.03 * len(labelled), changed


@pytest.mark.parametrize(
    "recognizer",
    ["tagger", "known"],
)
def test_the_labelled_set_notices_a_missing_recognizer(
    recognizer: str, vendor: Vendor, labelled: list[dict[str, Any]]
) -> None:
    whole = leaks(Redactor(vendor), labelled)
    crippled = Redactor(vendor, without=frozenset({recognizer}))
    assert len(leaks(crippled, labelled)) > len(whole)


def test_labelled_values_go_and_the_words_around_them_stay(
    redactor: Redactor, labelled: list[dict[str, Any]]
) -> None:
    """Values whose form is proof go without exception; of the others the most."""
    assert len(labelled) >= 80
    leaking = set(leaks(redactor, labelled))
    forms = {"email", "card", "iban", "mac", "phone", "known"}
    assert not [row["id"] for row in labelled if row["id"] in leaking and row["kind"] in forms]
    assert len(leaking) <= 0.1 * len(labelled), sorted(leaking)
    lost = [
        (row["id"], part)
        for row in labelled
        for part in row["kept"]
        if part not in redactor.redact_text(row["text"], row["known_names"])
    ]
    assert len(lost) <= 0.1 * sum(len(row["kept"]) for row in labelled), lost


def test_look_alikes_stay_unchanged(redactor: Redactor, look_alikes: list[str]) -> None:
    assert len(look_alikes) >= 40
    changed = [text for text in look_alikes if redactor.redact_text(text) != text]
    assert len(changed) <= 0.1 * len(look_alikes), changed


def test_sentences_give_values_away(redactor: Redactor, data: Path) -> None:
    """Names and values that only a turn of phrase gives away, their bounds and their types."""
    rows = read_jsonl(data / "sentences.jsonl")
    wrong = [
        (row["redacted"], done)
        for row in rows
        if (done := redactor.redact_text(row["text"])) != row["redacted"]
    ]
    assert len(wrong) <= 0.3 * len(rows), wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail dana@acme.example", "mail <EMAIL>"),
        ("my ip is 192.0.2.17", "my ip is <IP>"),
        ("my card is 4532 0151 1283 0367", "my card is <CARD>"),
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


def test_a_long_list_of_references_is_found_to_its_end(redactor: Redactor) -> None:
    numbers = [f"{50911 + number}" for number in range(2000)]
    start = time.perf_counter()
    redactor.redact_text("order nos " + ", ".join(numbers))
    assert time.perf_counter() - start < 10
    done = redactor.redact_text("Please cancel the orders " + ", ".join(numbers[:20]))
    assert re.search(r"\d", done) is None


def test_the_kind_of_a_word_does_not_depend_on_the_words_before() -> None:
    nothing: frozenset[str] = frozenset()
    fresh = Words(nothing, nothing, nothing, nothing, {"sync": COMMON})
    later = Words(nothing, nothing, nothing, nothing, {"sync": COMMON})
    assert later.kind("syncing") == COMMON
    assert later.kind("unsyncing") == fresh.kind("unsyncing")
    assert set(later.kinds) == {"sync"}


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
    redactor = Redactor(vendor, without=frozenset(RULES) | frozenset(NAME_RECOGNIZERS))
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
        "a." * 20_000,
        "a-" * 20_000,
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
        assert all(value in row["text"] for value in (*row["gone"], *row["kept"]))
        assert not PLACEHOLDER.search(json.dumps(row))


def test_a_lone_surrogate_is_replaced_so_that_the_text_can_be_written(redactor: Redactor) -> None:
    redacted = redactor.redact_text("how do i \ud800 export, write to jane@acme.example")
    assert redacted == "how do i \ufffd export, write to <EMAIL>"
    redacted.encode("utf-8")


def test_doubts_name_reasons_without_text(redactor: Redactor) -> None:
    assert redactor.doubts("How do I archive many issues at once?") == []
    assert redactor.doubts("write to support@tracklight.example") == []
    assert "long number" in redactor.doubts("it is 12345678901")
    assert len(redactor.doubts("my name is Kwabzi Zorblatt")) == 1
    assert "at sign" in redactor.doubts("x@y")


def test_links_to_the_docs_are_kept_unless_they_hold_personal_data(redactor: Redactor) -> None:
    known = redactor.prepare(Known(names=("Grace Hopper",)))
    url = "https://docs.tracklight.example/help/billing.html#grace-period"
    assert redactor.is_clean_link(url)
    assert not redactor.is_clean_link("https://docs.tracklight.example/u/dana@acme.example")
    assert not redactor.is_clean_link("https://docs.tracklight.example/u/Grace-Hopper", known)


def test_many_conversations_are_redacted_as_if_alone(
    redactor: Redactor, labelled: list[dict[str, Any]]
) -> None:
    texts = [row["text"] for row in labelled]
    together = redactor.redact_many([([text], None) for text in texts])
    assert [done[0] for done in together] == [redactor.redact_text(text) for text in texts]


def test_an_installed_spacy_pipeline_is_asked_as_well(tmp_path: Path, vendor: Vendor) -> None:
    import spacy

    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "sync engine"}])  # type: ignore[attr-defined]
    pipeline.to_disk(tmp_path / "ner")
    text = "How do I restart the sync engine?"
    assert Redactor(vendor).redact_text(text) == text
    asked = Redactor(vendor, ner_model=str(tmp_path / "ner"))
    assert asked.redact_text(text) == "How do I restart the <PERSON>?"
    with pytest.raises(UserError, match=r"cannot be loaded\. Install it"):
        Redactor(vendor, ner_model="no_such_pipeline").redact_text(text)


def test_an_inline_object_s_character_hides_nothing(redactor: Redactor) -> None:
    done = redactor.redact_text("my name is Pri\ufffcya, pri\ufffcya@kestrel.example", ["Priya"])
    assert "ya" not in done


def test_a_mailbox_goes_whatever_stands_around_it(redactor: Redactor) -> None:
    for text in ("john.smith@kestrel.com", "1) john.smith@kestrel.com 2) jane@foo.de", "🙏 a@b.de"):
        assert "@" not in redactor.redact_text(text)

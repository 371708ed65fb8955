"""Names, companies and values that only a turn of phrase gives away, and addresses."""

from __future__ import annotations

import pytest

from supportbot_dagster.tickets.redaction import Redactor


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("I spoke to quillan in chat.", "I spoke to <PERSON> in chat."),
        ("Please loop in tadeusz before you go.", "Please loop in <PERSON> before you go."),
        ("on behalf of K. Mbeki I ask for it", "on behalf of <PERSON> I ask for it"),
        (
            ">> on monday yamamoto kenji wrote:\n>> it fails",
            ">> on monday <PERSON> wrote:\n>> it fails",
        ),
        ("cc: oyelaran, see below", "cc: <PERSON>, see below"),
        ("my colleague Brannagh cannot sign in", "my colleague <PERSON> cannot sign in"),
        ("We at Vextrola moved offices.", "We at <COMPANY> moved offices."),
        ("I work for Quendra as an analyst.", "I work for <COMPANY> as an analyst."),
        ("Regards,\nMirela\nHollenwerk Logistik", "Regards,\n<PERSON>\n<COMPANY>"),
        ("the PDF opens with Sonne!4711x", "the PDF opens with <SECRET>"),
        ("your SMS says 481920 but it wants more", "your SMS says <SECRET> but it wants more"),
        (
            "Please merge acme-berlin into acme-emea",
            "Please merge <WORKSPACE_URL> into <WORKSPACE_URL>",
        ),
        (
            "For the age check I gave 14.03.1988 as asked.",
            "For the age check I gave <DATE_OF_BIRTH> as asked.",
        ),
        ("Nadia Ferrand, 02/11/1979, is locked out", "<PERSON>, <DATE_OF_BIRTH>, is locked out"),
    ],
)
def test_what_is_told_in_passing_goes(redactor: Redactor, text: str, redacted: str) -> None:
    assert redactor.redact_text(text, []) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Send it to Calle de Alcala 45, 3B, 28014 Madrid.", "Send it to <ADDRESS>."),
        ("ship to via giuseppe verdi 12, 20121 milano please", "ship to <ADDRESS> please"),
        ("Our office: Rua das Flores 210, 4050-262 Porto", "Our office: <ADDRESS>"),
        ("we moved to 14 rue de la paix, 75002 paris", "we moved to <ADDRESS>"),
        ("invoice to ul. Dluga 7/3, 31-147 Krakow", "invoice to <ADDRESS>"),
        ("Keizersgracht 120, 1015 CX Amsterdam is new", "<ADDRESS> is new"),
    ],
)
def test_addresses_of_many_countries_go(redactor: Redactor, text: str, redacted: str) -> None:
    assert redactor.redact_text(text, []) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE is the key from your manual",
        "Fixed in commit 9f3c2ab of release 4.2",
        "Hello Billing team,\nthe export fails",
        "The view has 12 columns and 45 rows.",
        "See step 5 of section 10115 in the list",
        "Restore the view from last week to the new sidebar.",
        "Merge a label into another label",
        "The release from 14.03.2025 is broken",
        "Change the status from todo to done.",
        "I spoke to support in chat yesterday.",
        "Please loop in the admins before you answer.",
        "We at the office use Chrome 120.",
        "my colleague cannot sign in",
        "Order the columns from first to last",
        "Error 481920 appears when I save.",
        "The file opens with Preview on a Mac.",
        "Merge the two columns into one",
    ],
)
def test_what_only_sounds_like_it_stays(redactor: Redactor, text: str) -> None:
    assert redactor.redact_text(text, []) == text

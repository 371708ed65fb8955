import pytest

from supportbot_dagster.tickets.single_turn import customer_question, light_edit

ANSWER = "Open Settings > General and scroll to the bottom. Only an Owner can change it."


@pytest.mark.parametrize(
    "opening",
    [
        "",
        "Hi Dana,\n\n",
        "Hey there!\n\n",
        "Hello <PERSON>,\n\n",
        "Hi Dana, thanks for reaching out!\n\n",
        "Good morning Dana,\n\nThanks for getting in touch.\n\n",
        "Dear Mr. Whitfield,\n",
        "Dana, thanks for writing in.\n\n",
        "Hi <PERSON> :)\n\n",
        "Great question! ",
        "Hi! Sorry to hear that. ",
        "Kia ora <PERSON>,\n\n",
        "Happy to help! ",
    ],
)
@pytest.mark.parametrize(
    "closing",
    [
        "",
        "\n\nBest,\nMia",
        "\n\nKind regards,\n<PERSON>\nTracklight Support",
        " Let me know if that helps!\n\nCheers,\nTomás",
        "\n\nHope this helps!\nSam",
        "\n\nIf anything is unclear, just reply to this mail.\n\n- Mia",
        "\n\nMore here: https://docs.tracklight.example/help/a.html#b\n\n<PERSON>",
        "\n\nHere is the help page: https://docs.tracklight.example/help/a.html\n\nBest, Mia",
        " More details: https://docs.tracklight.example/help/a.html",
        "\n\nNo harm done!\nRuth",
        "\n\nIs there anything else I can do for you?\n\nThanks,\n<PERSON>",
        "\n\nStay safe,\nSam",
    ],
)
def test_only_the_answer_is_left(opening: str, closing: str) -> None:
    assert light_edit(opening + ANSWER + closing) == ANSWER


@pytest.mark.parametrize(
    "text",
    [
        "Thanks to auto-archive, completed issues go away after 6 months.",
        "Hold Shift and click the last one.\n\n1. Press X.\n2. Press Archive.",
        "Hi-res logos must be PNG or SVG.",
        "Best practice: one team per squad. Let members join by themselves.",
        "Dear customers can be added as guests. A guest needs no seat.",
        "If you are not on the Owner account, ask the Owner to change it.",
        "Use https://api.tracklight.example/graphql with POST.",
        "You can let members invite others in Settings > Members.",
    ],
)
def test_sentences_of_the_answer_stay_verbatim(text: str) -> None:
    assert light_edit(text) == text


def test_courtesies_alone_give_nothing() -> None:
    assert light_edit("Hi Dana,\n\nThanks for reaching out!\n\nBest,\nMia") == ""


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "hey there, cant figure out where to change my workspace url\n\nthx\nDana",
            "cant figure out where to change my workspace url",
        ),
        ("Hi Tracklight team,\n\nhow do i   leave?\n\nBest regards,\n<PERSON>", "how do i leave?"),
        ("Hello,\nwhere is the exprot buton", "where is the exprot buton"),
        ("hi how do i archive", "how do i archive"),
        ("To whom it may concern,\nplease state the limits.", "please state the limits."),
        ("Where is it?\n- Dana", "Where is it?"),
        ("board is\nempty\n\nCheers, <PERSON>\nHead of Ops\n<PHONE>", "board is empty"),
        ("url??", "url??"),
        ("Hi", "Hi"),
        ("highlight is gone", "highlight is gone"),
        ("Thanks for the app! How do I leave?", "Thanks for the app! How do I leave?"),
        ("is it the best, or not", "is it the best, or not"),
    ],
)
def test_the_question_keeps_its_typos(message: str, expected: str) -> None:
    assert customer_question(message) == expected

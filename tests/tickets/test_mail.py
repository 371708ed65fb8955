import pytest

from supportbot_dagster.tickets.mail import clean_message, is_automatic, is_spam, is_thanks_only


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("how?\n\nOn Mon, 5 Oct 2026 at 10:00, Mia <m@x.example> wrote:\n> Open it.", "how?"),
        ("how?\n> Open it.\n> Best", "how?"),
        ("how?\n\nAm 5. Okt. 2026 um 10:00 schrieb Mia:\n> x", "how?"),
        ("how?\n\n-----Original Message-----\nFrom: Mia\nSent: Monday\n\nOpen it.", "how?"),
        ("how?\n\nFrom: Mia\nSent: Monday\nTo: me\n\nOpen it.", "how?"),
        ("how?\n\n-- \nDana Whitfield\nNorthpeak Labs", "how?"),
        ("how?\nSent from my iPhone", "how?"),
        ("how?\nGet Outlook for iOS", "how?"),
        ("how?\n\nThis e-mail is confidential and intended only for the addressee.", "how?"),
        (
            "how?\n\nBest regards,\nDana Whitfield\nHead of Ops\nNorthpeak Labs\n+44 20 7946 0123",
            "how?\n\nBest regards,\nDana Whitfield",
        ),
        ("how?\r\n\r\n\r\n\r\nBest,\r\nDana", "how?\n\nBest,\nDana"),
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
    ],
)
def test_what_mail_programs_add_goes(body: str, expected: str) -> None:
    assert clean_message(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        "I set:\n--verbose --dry-run\nand it fails. On Mac it wrote: nothing",
        "Settings > Members > Invite is grey",
        "1. open\n2. press\n\nwhat then?",
        "Here it is:\nhttps://docs.tracklight.example/help/a.html",
        "> quoted only",
    ],
)
def test_what_a_person_wrote_stays(body: str) -> None:
    expected = "" if body.startswith(">") else body
    assert clean_message(body) == expected


@pytest.mark.parametrize(
    ("subject", "body", "sender"),
    [
        ("Automatic reply: your ticket", "I am away.", ""),
        ("Out of office Re: url", "back on Monday", ""),
        ("Abwesenheitsnotiz", "Ich bin nicht im Büro", ""),
        ("Undeliverable: url", "x", ""),
        ("[Auto] We got your message", "x", ""),
        ("url", "Auto-Submitted: auto-replied\n\naway", ""),
        ("url", "Hi,\n\nI am currently out of the office until 3 May.", ""),
        ("url", "Thank you for your email. I am on annual leave until Monday.", ""),
        ("url", "This is an automated response.", ""),
        ("url", "This mailbox is not monitored.", ""),
        ("url", "Your message to x could not be delivered.", ""),
        ("url", "whatever", "MAILER-DAEMON@mx.example"),
        ("url", "We logged it.", "no-reply@desk.example"),
    ],
)
def test_automatic_messages(subject: str, body: str, sender: str) -> None:
    assert is_automatic(subject, body, sender)


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("out of office status?", "can teammates see that i am away"),
        ("Vacation: who gets my triage turn?", "I'm on leave next week, how do I hand it over?"),
        ("auto-archive", "when do completed issues go away"),
        ("delivery", "webhook delivery failed with 500"),
        ("automatic cycles", "This is automatic, right?"),
        ("url", "I am out of ideas"),
    ],
)
def test_questions_about_such_things_are_none(subject: str, body: str) -> None:
    assert not is_automatic(subject, body, "dana@acme.example")


def test_spam() -> None:
    assert is_spam(("spam",), "", "hello")
    assert is_spam((), "SEO services", "We sell backlinks and guest posts")
    assert not is_spam((), "seo", "Is the public roadmap indexed by Google?")
    assert not is_spam((), "import", "https://a.example https://b.example https://c.example")


@pytest.mark.parametrize(
    "text",
    [
        "thx that worked!!",
        "Perfect, thank you so much Mia!",
        "That did it, cheers",
        "works now 👍",
        "ok great",
        "👍",
        "Solved! You can close this ticket.",
        "no further questions, thanks",
        "exactly what i needed, merci",
        "can't thank you enough",
    ],
)
def test_thanks_only(text: str) -> None:
    assert is_thanks_only(text)


@pytest.mark.parametrize(
    "text",
    [
        "thanks, but it still fails",
        "Thanks! And how do I undo it?",
        "great, one more thing: can guests do it",
        "thanks, doesn't work",
        "it did not work",
        "I pressed it and now the board is empty",
        "",
    ],
)
def test_not_thanks_only(text: str) -> None:
    assert not is_thanks_only(text)

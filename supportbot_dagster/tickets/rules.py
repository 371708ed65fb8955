"""The table of all recognizers that are made of rules.

What lives here: which rules make up which recognizer. Most rules go by the form of a value,
those of ``rules_context.py``, ``rules_prose.py`` and ``rules_birth.py`` by the sentence around it,
those of ``rules_field.py`` by the notation. What does not: the rules themselves (``rules_*.py``),
and names, which need context (:mod:`supportbot_dagster.tickets.known`,
:mod:`supportbot_dagster.tickets.persons`, :mod:`supportbot_dagster.tickets.companies` and those
that end in ``_told``).
"""

from __future__ import annotations

from supportbot_dagster.tickets.rule import Rule
from supportbot_dagster.tickets.rules_address import POSTAL
from supportbot_dagster.tickets.rules_birth import BIRTH
from supportbot_dagster.tickets.rules_context import CONTEXT_HANDLE, CONTEXT_PAPER, CONTEXT_SECRET
from supportbot_dagster.tickets.rules_field import (
    FIELD_LOGIN,
    FIELD_NAME,
    FIELD_NUMBER,
    FIELD_SECRET,
    FIELD_WORKSPACE,
)
from supportbot_dagster.tickets.rules_identity import ADDRESS, GOVERNMENT_ID, REFERENCE, UUID
from supportbot_dagster.tickets.rules_number import CARD, IBAN, IP, MAC, PHONE, WALLET
from supportbot_dagster.tickets.rules_prose import PROSE_BIRTH, PROSE_SECRET, PROSE_WORKSPACE
from supportbot_dagster.tickets.rules_secret import PASSWORD, SECRET
from supportbot_dagster.tickets.rules_value import CODE, REFERENCE_VALUE, STATE_VALUE
from supportbot_dagster.tickets.rules_web import EMAIL, HANDLE, URL, WORKSPACE

RULES: dict[str, list[Rule]] = {
    "email": EMAIL,
    "url": URL,
    "workspace": WORKSPACE + FIELD_WORKSPACE + PROSE_WORKSPACE,
    "secret": SECRET + CODE + CONTEXT_SECRET + FIELD_SECRET + PROSE_SECRET,
    "password": PASSWORD,
    "card": CARD,
    "iban": IBAN,
    "wallet": WALLET,
    "ip": IP,
    "mac": MAC,
    "phone": PHONE,
    "government_id": GOVERNMENT_ID + STATE_VALUE + CONTEXT_PAPER,
    "reference": REFERENCE + REFERENCE_VALUE + FIELD_NUMBER,
    "uuid": UUID,
    "address": ADDRESS + POSTAL,
    "birth": BIRTH + PROSE_BIRTH,
    "field": FIELD_NAME,
    "handle": HANDLE + CONTEXT_HANDLE + FIELD_LOGIN,
}
"""Recognizers by name; the engine's one presidio recognizer runs the rules of all of them."""

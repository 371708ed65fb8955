"""The table of all recognizers that are made of rules.

What lives here: which rules make up which recognizer. They go by the form of a value; what only the
words around it give away, and names, are the tagger's (:mod:`supportbot_dagster.tickets.tagger`),
which also weighs what the rules find. What does not:
the rules themselves (``rules_*.py``), and names known from metadata
(:mod:`supportbot_dagster.tickets.known`).
"""

from __future__ import annotations

from supportbot_dagster.tickets.rule import Rule
from supportbot_dagster.tickets.rules_identity import GOVERNMENT_ID, REFERENCE, UUID
from supportbot_dagster.tickets.rules_number import CARD, IBAN, IP, MAC, PHONE, WALLET
from supportbot_dagster.tickets.rules_secret import SECRET
from supportbot_dagster.tickets.rules_web import EMAIL, HANDLE, URL, WORKSPACE

RULES: dict[str, list[Rule]] = {
    "email": EMAIL,
    "url": URL,
    "workspace": WORKSPACE,
    "secret": SECRET,
    "card": CARD,
    "iban": IBAN,
    "wallet": WALLET,
    "ip": IP,
    "mac": MAC,
    "phone": PHONE,
    "government_id": GOVERNMENT_ID,
    "reference": REFERENCE,
    "uuid": UUID,
    "handle": HANDLE,
}
"""Recognizers by name; the engine's one presidio recognizer runs the rules of all of them."""

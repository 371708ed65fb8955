"""The review page: a candidate beside its docs section, judged by one key.

What lives here: the web application and its protection. What does not: candidates and verdicts
(:mod:`supportbot_dagster.review.candidates`, :mod:`supportbot_dagster.review.verdicts`).

It is made for people on one machine: it listens on loopback, answers to loopback names alone (so
that no other site's name can be pointed at it), and takes a verdict only with the token of the
session that asked for it. Every value is escaped by the templates; scripts of the page itself are
the only ones that a browser runs.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, session, url_for

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.review.candidates import highlight
from supportbot_dagster.review.verdicts import (
    DECISIONS,
    DONE,
    Decision,
    Verdict,
    VerdictStore,
    verdict_on,
)
from supportbot_dagster.synthesis.candidate import Candidate

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LEASE_SECONDS = 120.0
"""How long a candidate that one reviewer looks at is not offered to another."""
STATES = ("waiting", "kept", "edited", "rejected", "stale", "all")
MAX_FORM_BYTES = 64 * 1024
_BULK_SHOWN = 20


@dataclass(frozen=True)
class Filters:
    """Which candidates are shown; empty values show all.

    Args:
        page: address of the docs page.
        style: how the question is phrased.
        reason: why the filters stopped it; ``passed`` for those that they did not, ``stopped`` for
            all that they did.
        state: one of :data:`STATES`.
    """

    page: str = ""
    style: str = ""
    reason: str = "passed"
    state: str = "waiting"

    def query(self) -> str:
        """As the query of an address."""
        return urlencode(vars(self))

    def show(self, candidate: Candidate, state: str) -> bool:
        """Whether a candidate in a state is shown."""
        return (
            self.page in {"", candidate.page}
            and self.style in {"", candidate.pair.style}
            and (
                self.reason in {"", candidate.reason}
                or (self.reason == "passed" and not candidate.reason)
                or (self.reason == "stopped" and bool(candidate.reason))
            )
            and self.state in {"all", state}
        )


def state_of(candidate: Candidate, verdict: Verdict | None) -> str:
    """``waiting``, ``stale``, ``kept``, ``edited`` or ``rejected``."""
    if verdict is None:
        return "waiting"
    return DONE[verdict.decision] if verdict.fits(candidate) else "stale"


class Leases:
    """Who looks at what, so that two reviewers are not given the same candidate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def take(self, keys: Sequence[str], who: str) -> str | None:
        """The first of ``keys`` that nobody else looks at; taken from now on."""
        now = time.monotonic()
        with self._lock:
            for key in keys:
                holder, until = self._held.get(key, ("", 0.0))
                if holder in {"", who} or until < now:
                    self._held[key] = (who, now + LEASE_SECONDS)
                    return key
        return None

    def drop(self, keys: Sequence[str]) -> None:
        """Nobody looks at these any more."""
        with self._lock:
            for key in keys:
                self._held.pop(key, None)


def create_app(
    candidates: Sequence[Candidate], store: VerdictStore, *, product: str, reviewer: str = ""
) -> Flask:
    """The application.

    Args:
        candidates: of one month, in their order.
        store: gets the verdicts.
        product: the product's name.
        reviewer: name of those who have not given one.
    """
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        SESSION_COOKIE_SAMESITE="Lax",  # a link to this page must not begin a new session
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_NAME="review",
        MAX_CONTENT_LENGTH=MAX_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
    )
    by_key = {candidate.key: candidate for candidate in candidates}
    leases = Leases()

    def filters() -> Filters:
        values = request.values
        state = values.get("state", "waiting")
        return Filters(
            values.get("page", ""),
            values.get("style", ""),
            values.get("reason", "passed"),
            state if state in STATES else "waiting",
        )

    def shown(chosen: Filters, verdicts: dict[str, Verdict]) -> list[Candidate]:
        return [
            one for one in by_key.values() if chosen.show(one, state_of(one, verdicts.get(one.key)))
        ]

    @app.before_request
    def only_from_here() -> None:
        host = urlsplit(f"//{request.host}").hostname
        if host not in LOOPBACK:
            abort(403, "This page answers to 127.0.0.1 and localhost alone.")
        if request.method != "POST":
            session.setdefault("token", secrets.token_hex(16))
            session.setdefault("name", f"{reviewer or 'reviewer'}-{secrets.token_hex(2)}")
            return
        # Nothing is put into the session here: another site's form comes without it, and an answer
        # that set a new one would take the reviewer's name and undo away.
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            abort(403, "A verdict is given on this page itself.")
        token = session.get("token", "")
        if not token or not hmac.compare_digest(request.form.get("token", ""), token):
            abort(403, "The page is from an earlier start. Load it again.")

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(
            {
                "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src "
                "'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "same-origin",
                "Cache-Control": "no-store",
            }
        )
        return response

    @app.errorhandler(UserError)
    def mendable(error: UserError) -> tuple[str, int, dict[str, str]]:
        return f"{error}\n", 503, {"Content-Type": "text/plain; charset=utf-8"}

    @app.context_processor
    def common() -> dict[str, Any]:
        return {"product": product, "token": session["token"], "name": session["name"]}

    def view(candidate: Candidate | None, chosen: Filters, verdicts: dict[str, Verdict]) -> str:
        listed = shown(chosen, verdicts)
        keys = [one.key for one in listed]
        states = Counter(state_of(one, verdicts.get(one.key)) for one in by_key.values()
                         if not one.reason or one.key in verdicts)  # fmt: skip
        judged = sum(states[name] for name in ("kept", "edited", "rejected"))
        place = keys.index(candidate.key) if candidate and candidate.key in keys else -1
        return render_template(
            "candidate.html",
            candidate=candidate,
            verdict=verdicts.get(candidate.key) if candidate else None,
            state=state_of(candidate, verdicts.get(candidate.key)) if candidate else "",
            pieces=highlight(candidate.section.markdown, candidate.pair.evidence)
            if candidate
            else (),
            filters=chosen,
            states=STATES,
            pages=Counter(one.page for one in by_key.values()),
            styles=Counter(one.pair.style for one in by_key.values()),
            reasons=Counter(one.reason for one in by_key.values() if one.reason),
            listed=len(listed),
            before=keys[place - 1] if place > 0 else None,
            after=keys[place + 1] if 0 <= place < len(keys) - 1 else None,
            judged=judged,
            total=states.total(),
            counts=states,
            message=session.pop("message", ""),
        )

    @app.get("/")
    def next_candidate() -> Any:
        chosen = filters()
        verdicts = store.current()
        keys = [one.key for one in shown(chosen, verdicts)]
        after = request.args.get("after", "")
        if after in keys:
            keys = keys[keys.index(after) + 1 :] + keys[: keys.index(after) + 1]
        key = leases.take(keys, session["name"])
        if key is None:
            if keys:
                session["message"] = "Others look at what is left here."
            return view(None, chosen, verdicts)
        return redirect(f"{url_for('one', key=key)}?{chosen.query()}")

    @app.get("/candidate/<key>")
    def one(key: str) -> Any:
        if key not in by_key:
            abort(404, "No candidate of this month has that key.")
        leases.take([key], session["name"])
        return view(by_key[key], filters(), store.current())

    @app.post("/candidate/<key>")
    def judge(key: str) -> Any:
        if key not in by_key:
            abort(404, "No candidate of this month has that key.")
        candidate = by_key[key]
        wanted = request.form.get("decision", "")
        decision = next((one for one in DECISIONS if one == wanted), None)
        if decision is None:
            abort(400, "A verdict is keep, edit or reject.")
        question, answer = (_plain(request.form.get(name, "")) for name in ("question", "answer"))
        own = _plain(candidate.pair.question), _plain(candidate.pair.answer)
        changed = (question, answer) != own
        if decision == "edit" and not (question and answer):
            abort(400, "An edit needs a question and an answer.")
        if decision != "reject":
            # Whoever keeps a text that was changed keeps the change.
            decision = "edit" if changed and question and answer else "keep"
        earlier = store.current().get(key)
        store.give([verdict_on(candidate, decision, session["name"], question, answer)])
        leases.drop([key])
        session["message"] = f"{DONE[decision].capitalize()}: {candidate.pair.question}"
        seen = request.form.get("seen", "")
        if earlier is not None and earlier.reviewer != session["name"] and not seen:
            session["message"] += (
                f" ({earlier.reviewer} had {DONE[earlier.decision]} it meanwhile; yours counts, "
                "undo for theirs)"
            )
        return redirect(f"{url_for('next_candidate')}?{filters().query()}&after={key}", 303)

    @app.post("/undo")
    def undo() -> Any:
        keys = [key for key in store.undo(session["name"], by_key) if key in by_key]
        chosen = filters()
        if not keys:
            session["message"] = "There is nothing of yours to undo."
            return redirect(f"{url_for('next_candidate')}?{chosen.query()}", 303)
        session["message"] = f"Undone: {len(keys)} verdict{'s' * (len(keys) > 1)}."
        return redirect(f"{url_for('one', key=keys[0])}?{chosen.query()}", 303)

    @app.get("/bulk")
    def ask_bulk() -> Any:
        decision = request.args.get("decision", "")
        if decision not in {"keep", "reject"}:
            abort(400, "Many candidates are kept or rejected.")
        verdicts = store.current()
        listed = shown(filters(), verdicts)
        return render_template(
            "bulk.html",
            decision=decision,
            filters=filters(),
            listed=listed,
            shown=listed[:_BULK_SHOWN],
            mark=_mark(listed, verdicts),
        )

    @app.post("/bulk")
    def bulk() -> Any:
        decision = request.form.get("decision", "")
        if decision not in {"keep", "reject"}:
            abort(400, "Many candidates are kept or rejected.")
        chosen = filters()
        verdicts = store.current()
        listed = shown(chosen, verdicts)
        if _mark(listed, verdicts) != request.form.get("mark", ""):
            session["message"] = "The list changed meanwhile. Look at it again."
            return redirect(f"{url_for('ask_bulk')}?decision={decision}&{chosen.query()}", 303)
        kind: Decision = "keep" if decision == "keep" else "reject"
        store.give([verdict_on(candidate, kind, session["name"]) for candidate in listed])
        session["message"] = f"{DONE[kind].capitalize()}: {len(listed)} candidates."
        return redirect(f"{url_for('next_candidate')}?{chosen.query()}", 303)

    @app.post("/name")
    def rename() -> Any:
        name = " ".join(request.form.get("name", "").split())[:40]
        if name:
            session["name"] = name
        return redirect(f"{url_for('next_candidate')}?{filters().query()}", 303)

    return app


def _plain(text: str) -> str:
    """A text with plain line breaks: a browser sends its own."""
    return "\n".join(text.splitlines()).strip()


def _mark(listed: Sequence[Candidate], verdicts: Mapping[str, Verdict]) -> str:
    """What tells one list with its verdicts from another."""
    parts = [[one.key, vars(verdicts[one.key]) if one.key in verdicts else None] for one in listed]
    return sha256_json(parts)[:16]

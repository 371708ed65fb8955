"""The review page: a candidate beside its docs section, judged by one key.

What lives here: the web application and its protection. What does not: candidates and verdicts
(:mod:`supportbot_dagster.review.candidates`, :mod:`supportbot_dagster.review.verdicts`).

It is made for people on one machine: it listens on loopback, answers to loopback names alone (so
that no other site's name can be pointed at it), and takes a verdict only with the token of the
session that asked for it. Words that were typed are never thrown away: what cannot be taken as it
is comes back on the page with the reason. Every value is escaped by the templates; scripts of the
page itself are the only ones that a browser runs.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, Response, abort, g, redirect, render_template, request, session, url_for

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_json
from supportbot_dagster.review.candidates import highlight
from supportbot_dagster.review.edits import faults
from supportbot_dagster.review.reviewed import verdict_of
from supportbot_dagster.review.verdicts import (
    DECISIONS,
    DONE,
    Decision,
    Reviewer,
    Verdict,
    VerdictStore,
    verdict_on,
)
from supportbot_dagster.synthesis.candidate import Candidate
from supportbot_dagster.synthesis.filters import own_words

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
LEASE_SECONDS = 120.0
"""How long a candidate that one reviewer looks at is not offered to another."""
STATES = ("waiting", "kept", "edited", "rejected", "all")
MAX_FORM_BYTES = 64 * 1024
IDENTITY_DAYS = 400
"""How long a browser knows its reviewer: the longest that browsers allow."""
_IDENTITY = "reviewer"
_BULK_SHOWN = 20
_FIELDS = ("question", "answer")
_EARLIER = (
    "The review was started anew since this page was loaded, so nothing was done. Press again."
)


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


def state_of(verdict: Verdict | None) -> str:
    """``waiting``, ``kept``, ``edited`` or ``rejected``."""
    return "waiting" if verdict is None else DONE[verdict.decision]


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
    by_key: dict[str, Candidate] = {}
    for candidate in candidates:
        # Of two that are one, in a section that stands at two addresses, the first may train.
        by_key.setdefault(candidate.key, candidate)
    leases = Leases()
    own = own_words(product)

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
            one for one in by_key.values() if chosen.show(one, state_of(verdict_of(one, verdicts)))
        ]

    def me() -> Reviewer:
        return Reviewer(session["name"], g.reviewer_id)

    @app.before_request
    def only_from_here() -> Any:
        host = urlsplit(f"//{request.host}").hostname
        if host not in LOOPBACK:
            abort(403, "This page answers to 127.0.0.1 and localhost alone.")
        known = request.cookies.get(_IDENTITY, "")
        g.reviewer_id = known if re.fullmatch("[0-9a-f]{32}", known) else secrets.token_hex(16)
        g.is_new = g.reviewer_id != known
        g.earlier = False
        if request.method == "POST":
            # Nothing is put into the session of another site's form, which comes without it: an
            # answer that set a new one would take the reviewer's name and undo away.
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                g.is_new = False
                abort(403, "A verdict is given on this page itself.")
            token = session.get("token", "")
            sent = request.form.get("token", "")
            if token and hmac.compare_digest(sent.encode(), token.encode()):
                return None
            if origin is None:
                g.is_new = False
                abort(403, "The page is from an earlier start. Load it again.")
            g.earlier = True
        session.setdefault("token", secrets.token_hex(16))
        if "name" not in session:
            session["name"] = store.name_of(g.reviewer_id) or (
                f"{reviewer or 'reviewer'}-{secrets.token_hex(2)}"
            )
        if g.earlier and request.endpoint != "judge":
            session["message"] = _EARLIER
            return redirect(f"{url_for('next_candidate')}?{filters().query()}", 303)
        return None

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
        if g.get("is_new"):
            response.set_cookie(
                _IDENTITY,
                g.reviewer_id,
                max_age=IDENTITY_DAYS * 24 * 3600,
                httponly=True,
                samesite="Lax",
            )
        return response

    @app.errorhandler(UserError)
    def mendable(error: UserError) -> tuple[str, int, dict[str, str]]:
        return f"{error}\n", 503, {"Content-Type": "text/plain; charset=utf-8"}

    @app.context_processor
    def common() -> dict[str, Any]:
        return {"product": product, "token": session["token"], "name": session["name"]}

    def view(
        candidate: Candidate | None,
        chosen: Filters,
        verdicts: dict[str, Verdict],
        *,
        note: str = "",
        typed: tuple[str, str] | None = None,
        against: Sequence[str] = (),
    ) -> str:
        listed = shown(chosen, verdicts)
        keys = [one.key for one in listed]
        given = {one.key: verdict_of(one, verdicts) for one in by_key.values()}
        states = Counter(
            state_of(given[one.key])
            for one in by_key.values()
            if not one.reason or given[one.key] is not None
        )
        judged = sum(states[name] for name in DONE.values())
        place = keys.index(candidate.key) if candidate and candidate.key in keys else -1
        verdict = given[candidate.key] if candidate else None
        words = typed
        if words is None and candidate is not None:
            said = verdict or candidate.pair
            words = said.question, said.answer
        return render_template(
            "candidate.html",
            candidate=candidate,
            verdict=verdict,
            state=state_of(verdict) if candidate else "",
            words=words,
            note=note,
            against=against,
            confirm=_confirms(words, against) if words and against else "",
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
        key = leases.take(keys, g.reviewer_id)
        if key is None:
            if keys:
                session["message"] = "Others look at what is left here."
            return view(None, chosen, verdicts)
        return redirect(f"{url_for('one', key=key)}?{chosen.query()}")

    @app.get("/candidate/<key>")
    def one(key: str) -> Any:
        if key not in by_key:
            abort(404, "No candidate of this month has that key.")
        leases.take([key], g.reviewer_id)
        return view(by_key[key], filters(), store.current())

    @app.post("/candidate/<key>")
    def judge(key: str) -> Any:
        if key not in by_key:
            abort(404, "No candidate of this month has that key.")
        candidate = by_key[key]
        verdicts = store.current()
        pair = candidate.pair
        own_pair = _plain(pair.question), _plain(pair.answer)
        question = _plain(request.form.get("question", own_pair[0]))
        answer = _plain(request.form.get("answer", own_pair[1]))
        typed = question, answer

        def again(note: str, status: int, against: Sequence[str] = ()) -> tuple[str, int]:
            page = view(candidate, filters(), verdicts, note=note, typed=typed, against=against)
            return page, status

        if g.earlier:
            return again(f"{_EARLIER} What you typed is kept.", 403)
        confirmed = request.form.get("override", "")
        wanted = "edit" if confirmed else request.form.get("decision", "")
        decision = next((one for one in DECISIONS if one == wanted), None)
        if decision is None:
            abort(400, "A verdict is keep, edit or reject.")
        against: list[str] = []
        if decision != "reject":
            if lacking := [name for name, text in zip(_FIELDS, typed, strict=True) if not text]:
                return again(
                    f"The {' and the '.join(lacking)} is empty. Write it, or reject the pair.", 400
                )
            # Whoever keeps a text that was changed keeps the change.
            decision = "edit" if typed != own_pair else "keep"
        if decision == "edit":
            against = faults(candidate, question, answer, by_key.values(), verdicts, own)
            if against and confirmed != _confirms(typed, against):
                return again("The edit is not saved yet: the filters would stop it.", 422, against)
        earlier = verdict_of(candidate, verdicts)
        store.give([verdict_on(candidate, decision, me(), question, answer, "; ".join(against))])
        leases.drop([key])
        session["message"] = f"{DONE[decision].capitalize()}: {pair.question}"
        if decision == "reject" and typed != own_pair:
            session["message"] += " (what you typed is kept with it)"
        seen = request.form.get("seen", "")
        if earlier is not None and earlier.reviewer_id != g.reviewer_id and not seen:
            session["message"] += (
                f" ({earlier.reviewer} had {DONE[earlier.decision]} it meanwhile; yours counts, "
                "undo for theirs)"
            )
        return redirect(f"{url_for('next_candidate')}?{filters().query()}&after={key}", 303)

    @app.post("/undo")
    def undo() -> Any:
        keys = [key for key in store.undo(g.reviewer_id, by_key) if key in by_key]
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
        store.give([verdict_on(candidate, kind, me()) for candidate in listed])
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


def _confirms(typed: tuple[str, str], against: Sequence[str]) -> str:
    """What a reviewer sends back to keep these very words in spite of these very reasons."""
    return sha256_json([*typed, *against])[:16]


def _mark(listed: Sequence[Candidate], verdicts: Mapping[str, Verdict]) -> str:
    """What tells one list with its verdicts from another."""
    parts = []
    for one in listed:
        verdict = verdict_of(one, verdicts)
        parts.append([one.key, asdict(verdict) if verdict else None])
    return sha256_json(parts)[:16]

"""The teacher that asks a language model at any OpenAI-compatible endpoint.

What lives here: the requests with their retries, concurrency and budget, and the memory of replies
that were paid for. What does not: what is asked (:mod:`supportbot_dagster.synthesis.prompt`),
filters, and where key and address come from (:mod:`supportbot_dagster.resources.teacher_model`).

Every reply is kept as soon as it comes, under the model, the prompt's fingerprint and the section's
hash. So a section is asked about once, whatever happens to the run, until it is edited. One whose
replies were in another form is asked about once more, in a later run, and so is one about which a
request was refused.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from upath import UPath

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.jsonl import write_jsonl
from supportbot_dagster.synthesis.connection import Connection, WebPage
from supportbot_dagster.synthesis.prompt import Prompt, TeacherReply
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Phrased, Usage, pairs_of

ATTEMPTS = 3
"""Requests for one section whose answers are no use, before it is given up."""
_OPTIONAL = ("response_format", "temperature", "max_tokens")
"""Settings of a request that some endpoints refuse; the last has another name there."""
MISSHAPEN = "the reply is not in the form that was asked for"
"""Fault of a section whose replies could not be read."""
_OF_ONE_REQUEST = (400, 413, 422)
"""Statuses by which an endpoint refuses one request: its content, its length."""
MANY_DECLINED = 5
"""Requests refused, none answered, from which on the endpoint's settings are held to be wrong."""
MANY_MISSHAPEN = 5
"""Replies in another form, none in the right one, from which on the model is held to be unable."""
MAX_OUTPUT_TOKENS = 1500
"""Room for an answer, a quote and ten questions; asked again with twice as much if cut off."""


@dataclass(frozen=True)
class Endpoint:
    """Where the model is and how it is asked.

    Args:
        base_url: address of the API, such as ``https://api.openai.com/v1``.
        model: the model's name there.
        api_key: secret; never shown, logged or written.
        temperature: sampling temperature, 0 to 2.
        concurrency: requests in flight.
        timeout_seconds: of one request, from the connection to the end of the answer.
        max_retries: of one request, after 408, 409, 429, 5xx, a timeout or a lost connection; waits
            as the endpoint's Retry-After says, else from 0.5 s doubling to 8 s.

    Raises:
        UserError: if the address is none of the web, the name cannot be sent, or the key cannot
            stand in a header.
    """

    base_url: str
    model: str
    api_key: str = field(repr=False)
    temperature: float = 0.7
    concurrency: int = 8
    timeout_seconds: float = 120.0
    max_retries: int = 6

    def __post_init__(self) -> None:
        """Refuse what no request can be built with."""
        if not _is_web_address(self.base_url):
            raise UserError(
                f"the teacher model's address {_masked(self.base_url)!r} is none of the web. Set "
                "SUPPORTBOT_TEACHER_BASE_URL with its scheme, such as http://127.0.0.1:11434/v1."
            )
        if not self.model.isprintable():
            raise UserError(
                f"the teacher model's name {self.model!a} holds a character that cannot be sent. "
                "Mend SUPPORTBOT_TEACHER_MODEL."
            )
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise UserError(
                "the teacher model's key holds a character that no key has, such as a typographic "
                "quote or a line break. Set SUPPORTBOT_TEACHER_API_KEY anew."
            )


@dataclass(frozen=True)
class Budget:
    """What one run may spend; None for no limit.

    Args:
        tokens: sent and received.
        cost: in the currency of the prices.
        input_price: for a million tokens sent.
        output_price: for a million tokens received.
    """

    tokens: int | None = None
    cost: float | None = None
    input_price: float | None = None
    output_price: float | None = None

    def price(self, sent: int, received: int) -> float | None:
        """What the tokens cost, or None where a price is not known."""
        if self.input_price is None or self.output_price is None:
            return None
        return (sent * self.input_price + received * self.output_price) / 1e6


class ReplyStore:
    """Replies that were paid for, one JSON file each.

    Args:
        folder: where they stand, a local folder or one of an object store.
    """

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def get(self, key: str, read: Callable[[str], TeacherReply]) -> dict[str, Any] | None:
        """A kept reply, or None. One that cannot be read counts as none and is paid again.

        Args:
            key: under which it was put.
            read: raises ValueError for a content that is no reply.
        """
        try:
            found = json.loads((self._folder / f"{key}.json").read_text(encoding="utf-8"))
            if found["fault"] == MISSHAPEN:
                return _read_after_all(found, read)
            if not found["fault"]:
                read(found["content"])
        except (FileNotFoundError, IsADirectoryError, *_MALFORMED):
            return None
        return dict(found)

    def put(self, key: str, reply: dict[str, Any]) -> None:
        """Keep a reply; it is there whole or not at all."""
        write_jsonl(self._folder / f"{key}.json", [reply])


def _read_after_all(found: dict[str, Any], read: Callable[[str], TeacherReply]) -> dict[str, Any]:
    """A reply kept as misshapen, which may have been put when less could be read than now."""
    try:
        read(found["content"])
    except _MALFORMED:
        return dict(found)
    return {**found, "fault": ""}


@dataclass(frozen=True)
class Completion:
    """What came back of one request.

    Args:
        content: the message's text.
        refused: whether the model or its filter declined.
        cut_off: whether it ran out of room.
    """

    content: str
    refused: bool
    cut_off: bool


_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)
"""What reading an answer raises that is none."""


class _Declined(Exception):
    """The endpoint takes no request about this section."""


class _Spent(Exception):
    """The budget does not allow another request; the message is why, if the budget never will."""


class ModelTeacher:
    """Asks a model about each section, several at a time.

    Args:
        endpoint: the model.
        prompt: what it is asked.
        store: replies of earlier runs.
        budget: what this run may spend.
    """

    def __init__(
        self, endpoint: Endpoint, prompt: Prompt, store: ReplyStore, budget: Budget | None = None
    ) -> None:
        self._endpoint = endpoint
        self._prompt = prompt
        self._store = store
        self._budget = budget or Budget()
        self._lock = threading.Lock()
        self._released = threading.Condition(self._lock)
        self._in_flight = 0
        self._reserved_tokens, self._reserved_cost = 0, 0.0
        self._stopping = False
        self._answered = self._declined = self._good = self._misshapen = 0
        self._without: frozenset[str] = frozenset()
        self._connection: Connection | None = None
        self.usage = Usage(cost=self._budget.price(0, 0))

    @property
    def version(self) -> str:
        """The model and the prompt's fingerprint."""
        return f"{self._endpoint.model}@{self._prompt.version}"

    def phrase(self, sections: Sequence[SectionText]) -> Iterator[Phrased]:
        """The pairs of each section; replies that are kept cost nothing.

        Raises:
            UserError: if the budget is used up, or the endpoint refuses the key or the model, or
                does not answer in spite of all retries. What was answered until then is kept.
        """
        ahead = 2 * self._endpoint.concurrency
        waiting: deque[tuple[SectionText, Future[dict[str, Any]]]] = deque()
        left = iter(sections)
        done = 0
        self._good = self._misshapen = 0
        self._stopping = False
        pool = ThreadPoolExecutor(self._endpoint.concurrency, thread_name_prefix="teacher")
        try:
            while True:
                while len(waiting) < ahead and (section := next(left, None)) is not None:
                    waiting.append((section, pool.submit(self._reply, section)))
                if not waiting:
                    return
                section, future = waiting.popleft()
                try:
                    reply = future.result()
                except _Spent as error:
                    # what is in flight is paid for: it comes home before the run ends
                    self._stop(pool)
                    raise UserError(str(error) or self._spent(sections, done)) from None
                done += 1
                yield self._phrased(section, reply)
        finally:
            self._stop(pool)
            self._disconnect()

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        """Begin no request any more, and wait for those in flight."""
        with self._released:
            self._stopping = True
            self._released.notify_all()
        pool.shutdown(wait=True, cancel_futures=True)

    def _phrased(self, section: SectionText, reply: dict[str, Any]) -> Phrased:
        if reply["fault"]:
            return Phrased(section, (), reply["fault"])
        return Phrased(section, pairs_of(self._prompt.read(reply["content"])))

    def _spent(self, sections: Sequence[SectionText], done: int) -> str:
        what = f"{self.usage.tokens} tokens"
        if self.usage.cost is not None:
            what += f" and {self.usage.cost:.2f} of money"
        # Replies of earlier runs may be kept of sections that this one did not get to.
        with ThreadPoolExecutor(self._endpoint.concurrency) as pool:
            rest = pool.map(self._kept, sections[done:])
            left = sum(kept is None or not _lasts(kept) for kept in rest)
        return (
            f"another request could exceed the teacher's budget ({what} in {self.usage.calls} "
            f"calls of this run), with {left} of {len(sections)} sections left to ask about. All "
            "replies are kept: materialize synthesized_pairs again to go on, or raise "
            "teacher.budget_tokens or teacher.budget_cost."
        )

    # --- one section, on a thread of the pool ----------------------------------------------------

    def _reply(self, section: SectionText) -> dict[str, Any]:
        kept = self._kept(section)
        if kept is not None and _lasts(kept):
            with self._lock:
                self.usage.cached += 1
            return kept
        try:
            reply = self._ask(section, again=kept is not None)
        except _Declined as error:
            # It may be over in the next run.
            return {"content": "", "fault": str(error)}
        self._store.put(self._key(section), reply)
        return reply

    def _kept(self, section: SectionText) -> dict[str, Any] | None:
        return self._store.get(self._key(section), self._prompt.read)

    def _key(self, section: SectionText) -> str:
        return f"{self._slug}/{self._prompt.version}/{section.content_hash}"

    @property
    def _slug(self) -> str:
        """The model and its endpoint as a folder's name; two models never share one."""
        name = "".join(c if c.isalnum() or c in "-._" else "-" for c in self._endpoint.model)
        address = sha256_text(f"{self._endpoint.base_url}\n{self._endpoint.model}")
        return f"{name[:60]}-{address[:8]}"

    def _ask(self, section: SectionText, *, again: bool) -> dict[str, Any]:
        """Ask until the answer is of use, at most :data:`ATTEMPTS` times.

        Args:
            section: what is asked about.
            again: whether an earlier run got misshapen replies; one more ends it.

        Raises:
            UserError: if this was one misshapen reply too many.
        """
        room = MAX_OUTPUT_TOKENS
        reply: dict[str, Any] = {}
        for _ in range(ATTEMPTS):
            answer = self._complete(section, room)
            reply = {"content": answer.content, "fault": ""}
            if answer.refused:
                reply["fault"] = "the model refused"
                continue
            if answer.cut_off:
                reply["fault"], room = "the reply was cut off", 2 * room
                continue
            try:
                self._prompt.read(answer.content)
            except _MALFORMED as error:
                reply |= {"fault": MISSHAPEN, "again": again}
                # It is paid for, whatever becomes of the next request.
                self._store.put(self._key(section), reply)
                self._count_misshapen(answer.content, error)
                if again:
                    break
                continue
            with self._lock:
                self._good += 1
            break
        return reply

    def _count_misshapen(self, content: str, error: Exception) -> None:
        """Stop where a model never keeps to the form: every further reply would be lost as well."""
        with self._lock:
            self._misshapen += 1
            if self._good or self._misshapen < MANY_MISSHAPEN:
                return
            count = self._misshapen
        kind = str(error) if type(error) is ValueError else "something else"
        said = f"the last one begins: {self._quoted(content)}" if content.strip() else "it is empty"
        raise UserError(
            f"{self._where} gave {count} replies and none in the form that was asked for; the last "
            f"holds {kind}, {said}. Name a model that takes a response format, or follows "
            "instructions better, in SUPPORTBOT_TEACHER_MODEL. The replies are kept; their "
            "sections are asked about once more."
        )

    def _complete(self, section: SectionText, room: int) -> Completion:
        import openai

        try:
            messages = self._prompt.messages(section)
            sent = math.ceil(sum(len(message["content"].encode()) for message in messages) / 2)
        except UnicodeEncodeError:
            raise _Declined("its text holds half of a character and cannot be sent") from None
        reserved = self._reserve(section, sent, room)
        try:
            while True:
                without = self._without
                try:
                    answer = self._connect().complete(
                        model=self._endpoint.model,
                        messages=messages,
                        **self._options(room, without),
                    )
                    return self._account(answer, sent)
                except openai.BadRequestError as error:
                    # endpoints and models differ in what they take; the reply is checked anyway
                    named = {name for name in _OPTIONAL if name in str(error)} - without
                    if not named:
                        raise
                    with self._lock:
                        self._without = self._without | named
        except openai.APIStatusError as error:
            if error.status_code in _OF_ONE_REQUEST and self._goes_on():
                raise _Declined(f"the endpoint refused it (HTTP {error.status_code})") from None
            raise UserError(self._refused(error)) from None
        except WebPage:
            raise UserError(
                f"{self._where} answers with a page, no completion; check "
                "SUPPORTBOT_TEACHER_BASE_URL."
            ) from None
        except openai.OpenAIError as error:
            raise UserError(self._refused(error)) from None
        except _MALFORMED as error:
            # nothing was sent, so there is no reply to count
            raise UserError(
                f"a request to {self._where} cannot be built ({type(error).__name__}). Mend "
                "SUPPORTBOT_TEACHER_BASE_URL or SUPPORTBOT_TEACHER_API_KEY."
            ) from None
        finally:
            self._release(reserved)

    def _goes_on(self) -> bool:
        """Whether a refused request is one section's matter: others are answered, or may be."""
        with self._lock:
            self._declined += 1
            return bool(self._answered) or self._declined < MANY_DECLINED

    def _options(self, room: int, without: frozenset[str]) -> dict[str, Any]:
        """The settings of a request, without those that the endpoint does not take."""
        options = {
            "temperature": self._endpoint.temperature,
            "response_format": self._prompt.response_format,
            "max_tokens": room,
        }
        if "max_tokens" in without:
            options["max_completion_tokens"] = room
        return {name: value for name, value in options.items() if name not in without}

    def _connect(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = Connection(
                    base_url=self._endpoint.base_url,
                    api_key=self._endpoint.api_key,
                    timeout_seconds=self._endpoint.timeout_seconds,
                    max_retries=self._endpoint.max_retries,
                )
            return self._connection

    def _disconnect(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _account(self, answer: Any, sent: int) -> Completion:
        """Count what an answer cost, and take from it what is needed."""
        try:
            choice = answer.choices[0] if answer.choices else None
            content = (choice.message.content or "") if choice else ""
            # A lone half of a character can be sent but not be kept.
            content = content.encode("utf-8", "replace").decode("utf-8")
        except _MALFORMED:
            choice, content = None, ""
        used = getattr(answer, "usage", None)
        prompt = _tokens(getattr(used, "prompt_tokens", None), sent)
        guess = math.ceil(len(content.encode()) / 2)
        completion = _tokens(getattr(used, "completion_tokens", None), guess)
        with self._lock:
            self._answered += bool(content)
            self.usage.calls += 1
            self.usage.prompt_tokens += prompt
            self.usage.completion_tokens += completion
            price = self._budget.price(prompt, completion)
            if price is not None and self.usage.cost is not None:
                self.usage.cost += price
        refusal = choice is not None and (
            getattr(choice.message, "refusal", None) or choice.finish_reason == "content_filter"
        )
        cut_off = choice is not None and choice.finish_reason == "length"
        return Completion(content, bool(refusal), cut_off)

    # --- the budget ----------------------------------------------------------------------------

    def _reserve(self, section: SectionText, sent: int, received: int) -> tuple[int, float]:
        """Set aside what a request can cost at most, so that no answer ever exceeds the budget.

        Most requests cost less than was set aside for them. So where only those in flight stand in
        the way, their end is waited for.

        Raises:
            _Spent: if the budget does not allow it whatever they cost, or the run stops.
        """
        tokens = sent + received
        cost = self._budget.price(sent, received) or 0.0
        most = self._budget
        if most.tokens is not None and tokens > most.tokens:
            raise _Spent(_too_small(section, f"{tokens} tokens", "tokens", most.tokens))
        if most.cost is not None and cost > most.cost:
            raise _Spent(_too_small(section, f"{cost:.4f} of money", "cost", most.cost))
        with self._released:
            while not self._stopping and self._allows(tokens, cost):
                if self._allows(tokens + self._reserved_tokens, cost + self._reserved_cost):
                    self._in_flight += 1
                    self._reserved_tokens += tokens
                    self._reserved_cost += cost
                    return tokens, cost
                self._released.wait()
        raise _Spent

    def _allows(self, tokens: int, cost: float) -> bool:
        """Whether the budget has room for as much beside what was spent; the lock is held."""
        most, spent = self._budget, self.usage
        return (most.tokens is None or spent.tokens + tokens <= most.tokens) and (
            most.cost is None or (spent.cost or 0.0) + cost <= most.cost
        )

    def _release(self, reserved: tuple[int, float]) -> None:
        with self._released:
            self._in_flight -= 1
            self._reserved_tokens -= reserved[0]
            # Sums of fractions leave a rest, for whose end nobody could wait.
            self._reserved_cost = self._reserved_cost - reserved[1] if self._in_flight else 0.0
            self._released.notify_all()

    @property
    def _where(self) -> str:
        """The model and its address, without what stands before an @ in it."""
        return f"the teacher model {self._endpoint.model!r} at {_masked(self._endpoint.base_url)}"

    def _quoted(self, text: str) -> str:
        """The first of what the endpoint said, on one line and without the key."""
        if self._endpoint.api_key:
            text = text.replace(self._endpoint.api_key, "***")
        return " ".join(text.split())[:160]

    def _refused(self, error: Exception) -> str:
        """One line on what the endpoint said, without the key."""
        import openai

        where = self._where
        kept = "What was answered is kept; materialize synthesized_pairs again to go on."
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return f"{where} refuses the key. Set SUPPORTBOT_TEACHER_API_KEY. {kept}"
        if isinstance(error, openai.NotFoundError):
            return (
                f"{where} was not found. Mend SUPPORTBOT_TEACHER_MODEL or "
                "SUPPORTBOT_TEACHER_BASE_URL."
            )
        if isinstance(error, openai.APIStatusError):
            said = self._quoted(str(error.message))
            return f"{where} answers with HTTP {error.status_code} ({said}). {kept}"
        if isinstance(error, openai.APITimeoutError):
            return f"{where} did not answer within {self._endpoint.timeout_seconds:g} s. {kept}"
        return f"{where} cannot be reached. Check SUPPORTBOT_TEACHER_BASE_URL. {kept}"


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"}
            and url.isprintable()
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        return False


def _masked(url: str) -> str:
    """An address without a name and a password in it."""
    return re.sub(r"(^|//)[^/@]*@", r"\1***@", url)


def _lasts(kept: dict[str, Any]) -> bool:
    """Whether a kept reply is the last word on its section."""
    return kept["fault"] != MISSHAPEN or bool(kept.get("again"))


def _tokens(said: Any, guess: int) -> int:
    """A count of tokens as the endpoint said it, or the guess where it said none."""
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else guess


def _too_small(section: SectionText, needed: str, name: str, most: float) -> str:
    """That no run of such a budget can ask about a section."""
    return (
        f"one request about {section.key} may take {needed}, and teacher.budget_{name} is {most:g} "
        f"for a whole run. Raise teacher.budget_{name} in product.yaml above that. All replies are "
        "kept."
    )

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from upath import UPath

from supportbot_dagster.errors import UserError
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.synthesis.model_teacher import (
    ATTEMPTS,
    MANY_MISSHAPEN,
    MAX_OUTPUT_TOKENS,
    Budget,
    Endpoint,
    ModelTeacher,
    ReplyStore,
)
from supportbot_dagster.synthesis.prompt import Prompt
from supportbot_dagster.synthesis.section import SectionText
from supportbot_dagster.synthesis.teacher import Phrased, RecordedTeacher
from tests.synthesis.chat_server import ChatServer, chat_server, heading_of

KEY = "sk-test-4f1c0a77"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as state:
        yield state


def sections(count: int) -> list[SectionText]:
    return [
        SectionText(
            f"https://d.example/{n}", sha256_text(f"hash {n}"), ("Guide", f"Part {n}"), f"Text {n}."
        )
        for n in range(count)
    ]


def teacher(
    server: ChatServer,
    folder: Path,
    *,
    budget: Budget | None = None,
    model: str = "m1",
    product: str = "Acme",
    timeout: float = 20.0,
    retries: int = 4,
    concurrency: int = 4,
) -> ModelTeacher:
    endpoint = Endpoint(
        server.url,
        model,
        KEY,
        timeout_seconds=timeout,
        max_retries=retries,
        concurrency=concurrency,
    )
    return ModelTeacher(endpoint, Prompt(product, 5), ReplyStore(UPath(folder)), budget)


def ask(asked: ModelTeacher, wanted: list[SectionText]) -> list[Phrased]:
    return list(asked.phrase(wanted))


def test_sections_are_phrased_in_their_order_and_counted(
    server: ChatServer, tmp_path: Path
) -> None:
    wanted = sections(12)
    asked = teacher(
        server, tmp_path, budget=Budget(input_price=2.0, output_price=10.0), concurrency=3
    )
    server.seconds = 0.05
    phrased = ask(asked, wanted)
    assert [item.section for item in phrased] == wanted
    assert [item.pairs[0].answer for item in phrased] == [f"Text {n}." for n in range(12)]
    assert phrased[3].pairs[1].question == "part 3 pls"
    assert phrased[3].pairs[1].style == "search"
    usage = asked.usage
    assert (usage.calls, usage.cached) == (12, 0)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.tokens) == (4800, 1200, 6000)
    assert usage.cost == pytest.approx(12 * (400 * 2 + 100 * 10) / 1e6)
    assert server.keys == {f"Bearer {KEY}"}
    assert 1 < server.in_flight <= 3
    assert server.requests[0]["response_format"]["json_schema"]["strict"] is True


def test_a_rerun_asks_nothing_and_an_edit_asks_for_its_section_alone(
    server: ChatServer, tmp_path: Path
) -> None:
    wanted = sections(6)
    first = ask(teacher(server, tmp_path), wanted)
    again = teacher(server, tmp_path)
    assert ask(again, wanted) == first
    assert (again.usage.calls, again.usage.cached, len(server.requests)) == (0, 6, 6)
    edited = [*wanted]
    edited[2] = SectionText(wanted[2].key, sha256_text("new"), ("Guide", "Part 2"), "New text.")
    third = teacher(server, tmp_path)
    assert [item.pairs[0].answer for item in ask(third, edited)][2] == "New text."
    assert (third.usage.calls, third.usage.cached) == (1, 5)


def test_another_model_or_prompt_is_another_question(server: ChatServer, tmp_path: Path) -> None:
    ask(teacher(server, tmp_path), sections(1))
    for other in (
        teacher(server, tmp_path, model="m2"),
        teacher(server, tmp_path, product="Other"),
    ):
        assert other.version != teacher(server, tmp_path).version
        ask(other, sections(1))
        assert other.usage.calls == 1


@pytest.mark.parametrize(
    "step",
    ["not json", "wrong shape", "style", "cut off", "refused", "filtered", "empty", "no json"],
)
def test_a_useless_reply_is_asked_for_again(server: ChatServer, tmp_path: Path, step: str) -> None:
    server.script.append(step)
    asked = teacher(server, tmp_path)
    [phrased] = ask(asked, sections(1))
    assert phrased.fault == ""
    assert len(phrased.pairs) == 2
    assert asked.usage.calls == 2
    room = [body["max_tokens"] for body in server.requests]
    assert room == [MAX_OUTPUT_TOKENS, MAX_OUTPUT_TOKENS * (2 if step == "cut off" else 1)]


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("cut off", "the reply was cut off"),
        ("refused", "the model refused"),
    ],
)
def test_a_section_that_gets_no_useful_reply_is_named_and_not_paid_for_again(
    server: ChatServer, tmp_path: Path, step: str, fault: str
) -> None:
    server.script.extend([step] * ATTEMPTS)
    [phrased] = ask(teacher(server, tmp_path), sections(1))
    assert (phrased.fault, list(phrased.pairs)) == (fault, [])
    again = teacher(server, tmp_path)
    assert ask(again, sections(1)) == [phrased]
    assert again.usage.calls == 0


def test_storms_of_429_and_5xx_are_waited_out(server: ChatServer, tmp_path: Path) -> None:
    server.script.extend([("429", 0.2), 503, ("429", 0.1), 500, ("429", 0.3)])
    asked = teacher(server, tmp_path, concurrency=2)
    started = time.monotonic()
    assert [item.fault for item in ask(asked, sections(3))] == ["", "", ""]
    assert time.monotonic() - started >= 0.3
    assert asked.usage.calls == 3
    assert len(server.requests) == 8


def test_a_request_that_hangs_is_sent_again(server: ChatServer, tmp_path: Path) -> None:
    server.script.append("slow")
    asked = teacher(server, tmp_path, timeout=0.6)
    [phrased] = ask(asked, sections(1))
    assert phrased.fault == ""
    assert len(server.requests) == 2


@pytest.mark.parametrize("step", ["drip", "drip headers"])
def test_a_request_is_bounded_in_all_not_byte_by_byte(
    server: ChatServer, tmp_path: Path, step: str
) -> None:
    server.script.append(step)
    asked = teacher(server, tmp_path, timeout=0.6)
    started = time.monotonic()
    [phrased] = ask(asked, sections(1))
    assert phrased.fault == ""
    assert len(server.requests) == 2
    # Every byte comes within 0.05 s; all of them would take some twenty seconds.
    assert 0.6 <= time.monotonic() - started < 6

    server.script.append(step)
    impatient = teacher(server, tmp_path / "other", timeout=0.6, retries=0)
    with pytest.raises(UserError, match=r"did not answer within 0\.6 s"):
        ask(impatient, sections(1))


def test_no_thread_outlives_the_work(server: ChatServer, tmp_path: Path) -> None:
    asked = teacher(server, tmp_path)
    ask(asked, sections(3))
    server.script.extend([401] * 9)
    with pytest.raises(UserError):
        ask(teacher(server, tmp_path / "other"), sections(3))
    assert not [one.name for one in threading.enumerate() if one.name.startswith("teacher")]
    server.script.clear()
    assert len(ask(asked, sections(5))) == 5, "it can be asked again"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (401, "refuses the key. Set SUPPORTBOT_TEACHER_API_KEY"),
        (403, "refuses the key"),
        (404, "was not found. Mend SUPPORTBOT_TEACHER_MODEL"),
        (503, "answers with HTTP 503"),
    ],
)
def test_an_endpoint_that_refuses_ends_in_one_line_without_the_key(
    server: ChatServer, tmp_path: Path, step: int, said: str
) -> None:
    server.script.extend([step] * 10)
    with pytest.raises(UserError, match=said) as caught:
        ask(teacher(server, tmp_path, retries=1), sections(1))
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = ChatServer()
    gone.url = "http://127.0.0.1:9/v1"
    with pytest.raises(UserError, match=r"cannot be reached\. Check SUPPORTBOT_TEACHER_BASE_URL"):
        ask(teacher(gone, tmp_path, retries=0), sections(1))


@pytest.mark.parametrize("step", ["page", "bare page"])
def test_a_page_is_no_reply_and_is_told(server: ChatServer, tmp_path: Path, step: str) -> None:
    server.script.extend([step] * 9)
    asked = teacher(server, tmp_path, concurrency=1)
    with pytest.raises(
        UserError,
        match=r"answers with a page, no completion; check SUPPORTBOT_TEACHER_BASE_URL\.",
    ):
        ask(asked, sections(3))
    assert (asked.usage.calls, asked.usage.tokens) == (0, 0)
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:11434/v1", "localhost:11434/v1", "u:pw@h/v1", "https://", "ftp://u:pw@h/v1",
     "http://[::1/v1", "http://h:x/v1", ""],
)  # fmt: skip
def test_an_address_without_scheme_is_refused_up_front(url: str) -> None:
    with pytest.raises(UserError, match=r"Set SUPPORTBOT_TEACHER_BASE_URL with its") as caught:
        Endpoint(url, "m1", KEY)
    assert "pw" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-“1”", "sk-schlüssel", "sk-1\nsk-2"])
def test_a_key_that_no_header_holds_is_refused_up_front(key: str) -> None:
    with pytest.raises(UserError, match=r"Set SUPPORTBOT_TEACHER_API_KEY anew\.$") as caught:
        Endpoint("http://127.0.0.1:1/v1", "m1", key)
    assert key[:4] not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_s_name_that_cannot_be_sent_is_refused_up_front() -> None:
    with pytest.raises(UserError, match=r"'m\\udc80' .* Mend SUPPORTBOT_TEACHER_MODEL\.$"):
        Endpoint("http://127.0.0.1:1/v1", "m\udc80", KEY)


def test_a_request_that_cannot_be_built_counts_as_no_reply(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endpoint, "__post_init__", lambda self: None)
    endpoint = Endpoint(server.url, "m1", "schlüssel")
    asked = ModelTeacher(endpoint, Prompt("Acme", 5), ReplyStore(UPath(tmp_path)))
    with pytest.raises(UserError, match=r"cannot be built \(UnicodeEncodeError\)") as caught:
        ask(asked, sections(3))
    assert "schl" not in str(caught.value)
    assert (asked.usage.calls, asked.usage.tokens, server.requests) == (0, 0, [])


def test_half_of_a_character_in_the_docs_is_its_section_s_fault(
    server: ChatServer, tmp_path: Path
) -> None:
    wanted = sections(3)
    wanted[1] = replace(wanted[1], markdown="Half \ud83d.")
    asked = teacher(server, tmp_path)
    faults = [item.fault for item in ask(asked, wanted)]
    assert faults == ["", "its text holds half of a character and cannot be sent", ""]
    assert asked.usage.calls == len(server.requests) == 2


@pytest.mark.parametrize("rejected", ["response_format", "temperature", "max_tokens"])
def test_settings_that_an_endpoint_does_not_take_are_left_out(
    server: ChatServer, tmp_path: Path, rejected: str
) -> None:
    server.rejects.add(rejected)
    server.fence = True
    asked = teacher(server, tmp_path, concurrency=1)
    assert [item.fault for item in ask(asked, sections(3))] == ["", "", ""]
    assert [rejected in body for body in server.requests] == [True, False, False, False]
    if rejected == "max_tokens":
        assert server.requests[1]["max_completion_tokens"] == MAX_OUTPUT_TOKENS


def test_the_token_budget_is_never_exceeded_and_what_was_paid_is_kept(
    server: ChatServer, tmp_path: Path
) -> None:
    wanted = sections(20)
    # a request may take 500 tokens but 1,500 are set aside for its answer
    budget = Budget(tokens=9_000)
    asked = teacher(server, tmp_path, budget=budget)
    with pytest.raises(
        UserError,
        match=r"another request could exceed the teacher's budget .* All replies are kept",
    ) as caught:
        ask(asked, wanted)
    assert 0 < asked.usage.tokens <= 9_000
    assert asked.usage.calls == len(server.requests)
    paid = len(server.requests)
    assert f"with {20 - paid} of 20 sections left to ask about" in str(caught.value)
    rest = teacher(server, tmp_path)
    assert len(ask(rest, wanted)) == 20
    assert (rest.usage.cached, rest.usage.calls) == (paid, 20 - paid)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (
            Budget(tokens=1000),
            r"may take \d+ tokens, and teacher\.budget_tokens is 1000 for a whole",
        ),
        (
            Budget(cost=0.001, input_price=5.0, output_price=20.0),
            r"may take 0\.0\d+ of money, and teacher\.budget_cost is 0\.001 for a whole run\.",
        ),
    ],
)
def test_a_budget_that_no_request_fits_is_told_with_what_it_takes(
    server: ChatServer, tmp_path: Path, budget: Budget, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        ask(teacher(server, tmp_path, budget=budget), sections(3))
    assert "https://d.example/0" in str(caught.value)
    assert server.requests == []


def test_fewer_questions_are_welcome_more_are_cut_and_kept_replies_are_read_alike(
    server: ChatServer, tmp_path: Path
) -> None:
    server.script.extend(["good", "many"])
    first = ask(teacher(server, tmp_path, concurrency=1), sections(2))
    assert [len(item.pairs) for item in first] == [2, 5]
    assert len(server.requests) == 2
    kept = next(tmp_path.rglob(f"{sections(1)[0].content_hash}.json"))
    value = json.loads(kept.read_text(encoding="utf-8"))
    reply = json.loads(value["content"])
    questions = [{"question": "How?", "style": "shouted"}]
    content = json.dumps({**reply, "questions": questions})
    kept.write_text(json.dumps({**value, "content": content}), encoding="utf-8")
    again = teacher(server, tmp_path)
    assert [len(item.pairs) for item in ask(again, sections(2))] == [2, 5]
    assert again.usage.calls == 1


@pytest.mark.parametrize(
    "budget",
    [Budget(tokens=9_000), Budget(cost=0.09, input_price=10.0, output_price=10.0)],
)
def test_what_is_set_aside_for_requests_in_flight_is_waited_for(
    server: ChatServer, tmp_path: Path, budget: Budget
) -> None:
    # Each of these takes 500 tokens, and far more is set aside for each of eight at once.
    server.seconds = 0.1
    asked = teacher(server, tmp_path, budget=budget, concurrency=8)
    assert len(ask(asked, sections(10))) == 10
    assert asked.usage.tokens == 5_000
    assert server.in_flight > 1


def test_sections_with_kept_replies_are_not_counted_as_left(
    server: ChatServer, tmp_path: Path
) -> None:
    wanted = sections(20)
    ask(teacher(server, tmp_path), wanted[12:])
    asked = teacher(server, tmp_path, budget=Budget(tokens=4_000))
    with pytest.raises(UserError) as caught:
        ask(asked, wanted)
    assert 0 < asked.usage.calls < 12
    assert f"with {12 - asked.usage.calls} of 20 sections left" in str(caught.value)


def test_a_request_that_waits_for_room_is_not_sent_once_the_run_stops(
    server: ChatServer, tmp_path: Path
) -> None:
    server.seconds = 0.2
    server.script.extend([401] * 6)
    asked = teacher(server, tmp_path, budget=Budget(tokens=4_000), concurrency=6)
    with pytest.raises(UserError, match="refuses the key"):
        ask(asked, sections(6))
    # The run ends with its first section; one other may have begun by then.
    sent = [heading_of(body) for body in server.requests]
    assert len(sent) <= sent.index("Guide > Part 0") + 2


def test_the_money_budget_stops_as_well(server: ChatServer, tmp_path: Path) -> None:
    budget = Budget(cost=0.05, input_price=5.0, output_price=20.0)
    asked = teacher(server, tmp_path, budget=budget)
    with pytest.raises(UserError, match=r"and 0\.0\d of money"):
        ask(asked, sections(30))
    assert asked.usage.cost is not None
    assert 0 < asked.usage.cost <= 0.05


def test_a_kept_reply_that_is_damaged_is_paid_for_again(server: ChatServer, tmp_path: Path) -> None:
    ask(teacher(server, tmp_path), sections(1))
    [kept] = tmp_path.rglob("*.json")
    kept.write_text(kept.read_text()[:20])
    asked = teacher(server, tmp_path)
    assert ask(asked, sections(1))[0].fault == ""
    assert asked.usage.calls == 1
    assert json.loads(kept.read_text())["fault"] == ""


def test_the_key_is_in_no_file_and_in_no_repr(server: ChatServer, tmp_path: Path) -> None:
    asked = teacher(server, tmp_path)
    ask(asked, sections(2))
    assert KEY not in repr(Endpoint(server.url, "m", KEY))
    assert all(KEY not in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_recordings_come_first(server: ChatServer, tmp_path: Path) -> None:
    wanted = sections(3)
    from supportbot_dagster.synthesis.prompt import TeacherReply

    reply = TeacherReply(answer="Recorded.", evidence="Text 1.", questions=())
    behind = teacher(server, tmp_path)
    both = RecordedTeacher({wanted[1].content_hash: reply}, behind, "v")
    assert [len(item.pairs) for item in both.phrase(wanted)] == [2, 0, 2]
    assert both.usage.calls == 2
    assert server.asked["Guide > Part 1"] == 0


_KILLED = """
import sys
from pathlib import Path
from upath import UPath
from tests.synthesis.test_model_teacher import sections
from supportbot_dagster.synthesis.model_teacher import Endpoint, ModelTeacher, ReplyStore
from supportbot_dagster.synthesis.prompt import Prompt
endpoint = Endpoint(sys.argv[1], "m1", "k", concurrency=2)
teacher = ModelTeacher(endpoint, Prompt("Acme", 5), ReplyStore(UPath(sys.argv[2])))
for phrased in teacher.phrase(sections(40)):
    print(phrased.section.key, flush=True)
"""


def test_a_kill_half_way_loses_no_reply_that_came(server: ChatServer, tmp_path: Path) -> None:
    server.seconds = 0.05
    repository = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, server.url, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert process.stdout is not None
    for _ in range(8):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)
    before = len(server.requests)
    rest = teacher(server, tmp_path)
    assert [item.fault for item in ask(rest, sections(40))] == [""] * 40
    # in flight at the kill were two; of these alone the answer may be lost
    assert rest.usage.cached >= 8
    assert rest.usage.cached >= before - 2
    assert rest.usage.calls == 40 - rest.usage.cached


def test_a_section_with_misshapen_replies_is_asked_about_once_more_and_never_again(
    server: ChatServer, tmp_path: Path
) -> None:
    fault = "the reply is not in the form that was asked for"
    server.script.extend(["not json"] * (ATTEMPTS + 1))
    for calls in (ATTEMPTS, 1, 0, 0):
        asked = teacher(server, tmp_path)
        assert [item.fault for item in ask(asked, sections(1))] == [fault]
        assert (asked.usage.calls, asked.usage.cached) == (calls, int(calls == 0))
    [kept] = tmp_path.rglob("*.json")
    assert json.loads(kept.read_text())["content"] == "Sure! Here are some questions."
    kept.unlink()
    assert [item.fault for item in ask(teacher(server, tmp_path), sections(1))] == [""]


def test_a_later_run_may_mend_a_misshapen_reply_or_learn_to_read_it(
    server: ChatServer, tmp_path: Path
) -> None:
    server.script.extend(["not json"] * ATTEMPTS)
    ask(teacher(server, tmp_path), sections(1))
    [kept] = tmp_path.rglob("*.json")
    misshapen = json.loads(kept.read_text())
    good = ask(teacher(server, tmp_path), sections(1))
    assert good[0].fault == ""
    content = json.loads(kept.read_text())["content"]
    kept.write_text(json.dumps({**misshapen, "content": f"Sure!\n{content}"}))
    again = teacher(server, tmp_path)
    assert ask(again, sections(1)) == good
    assert (again.usage.calls, again.usage.cached) == (0, 1)


def test_a_misshapen_reply_is_kept_though_the_next_request_fails(
    server: ChatServer, tmp_path: Path
) -> None:
    server.script.extend(["not json", 401])
    with pytest.raises(UserError, match="refuses the key"):
        ask(teacher(server, tmp_path), sections(1))
    [kept] = tmp_path.rglob("*.json")
    assert json.loads(kept.read_text())["fault"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Well,\n " + "no " * 300 + "END", "holds no JSON object, the last one begins: Well, no"),
        ('{"reply": 1}', 'a JSON object of another form, the last one begins: {"reply": 1}.'),
        (f"Your key is {KEY}.", r"begins: Your key is \*\*\*\."),
        ("", "holds no JSON object, it is empty"),
    ],
)
def test_a_model_that_never_keeps_to_the_form_ends_the_run(
    server: ChatServer, tmp_path: Path, content: str, said: str
) -> None:
    server.reply = lambda body: content
    with pytest.raises(UserError, match=said) as caught:
        ask(teacher(server, tmp_path, concurrency=1), sections(30))
    message = str(caught.value)
    assert f"gave {MANY_MISSHAPEN} replies" in message
    assert "SUPPORTBOT_TEACHER_MODEL" in message
    assert "\n" not in message
    assert "END" not in message
    assert KEY not in message
    assert len(server.requests) <= MANY_MISSHAPEN + 1
    assert len(list(tmp_path.rglob("*.json"))) >= 2


def test_one_good_reply_lets_a_run_with_misshapen_ones_go_on(
    server: ChatServer, tmp_path: Path
) -> None:
    server.script.extend(["good", *["not json"] * (2 * MANY_MISSHAPEN)])
    phrased = ask(teacher(server, tmp_path, concurrency=1), sections(9))
    assert [bool(item.fault) for item in phrased] == [False] + [True] * 3 + [False] * 5


def test_a_request_that_is_refused_is_one_section_s_fault(
    server: ChatServer, tmp_path: Path
) -> None:
    asked = teacher(server, tmp_path, concurrency=1)
    server.script.extend([400])
    faults = [item.fault for item in ask(asked, sections(4))]
    assert faults == ["the endpoint refused it (HTTP 400)", "", "", ""]
    again = teacher(server, tmp_path, concurrency=1)
    assert [item.fault for item in ask(again, sections(4))] == [""] * 4
    assert again.usage.calls == 1


def test_an_endpoint_that_refuses_every_request_is_told(server: ChatServer, tmp_path: Path) -> None:
    server.script.extend([400] * 20)
    with pytest.raises(UserError, match=r"answers with HTTP 400 \(.*status 400") as caught:
        ask(teacher(server, tmp_path, concurrency=1), sections(9))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    ['{"content": "x"}', '{"content": "{}", "fault": ""}', '{"content": null, "fault": ""}',
     "[1]", "null", "[" * 100_000],
)  # fmt: skip
def test_a_kept_reply_of_another_form_is_paid_for_again(
    server: ChatServer, tmp_path: Path, kept: str
) -> None:
    ask(teacher(server, tmp_path), sections(1))
    [path] = tmp_path.rglob("*.json")
    path.write_text(kept, encoding="utf-8")
    again = teacher(server, tmp_path)
    assert [item.fault for item in ask(again, sections(1))] == [""]
    assert again.usage.calls == 1

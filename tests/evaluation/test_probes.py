from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from supportbot_dagster.errors import UserError
from supportbot_dagster.evaluation.probes import Probe, judge_probe, load_probes
from supportbot_dagster.product import Probes, Product, load_product, sample_product_file

ANSWER = Probe(
    id="url",
    question="where is the url",
    expect="answer",
    why="path and window",
    all=("settings > general", "30[ -]days?"),
    none=(r"\$\d",),
)
HANDOFF = Probe(id="cost", question="price?", expect="handoff", why="deflects", all=("pricing",))


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str | bytes], Product]:
    def make(content: str | bytes) -> Product:
        path = tmp_path / "probes.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        product = load_product(sample_product_file())
        return product.model_copy(update={"probes": Probes(file=str(path))})

    return make


@pytest.mark.parametrize(
    ("probe", "answer", "reason"),
    [
        (ANSWER, "Open SETTINGS > General; it redirects for 30-days.", ""),
        (ANSWER, "I'm sorry to hear that. Settings > General, 30 days.", ""),
        (ANSWER, "Open Settings > General.", "lacks '30[ -]days?'"),
        (ANSWER, "Settings > General, 30 days, $5.", "says '\\\\$\\\\d'"),
        (ANSWER, "I do not have access. Settings > General, 30 days.",
         "deflected a question that the docs answer"),
        (HANDOFF, "I do not have access to prices. See the pricing page.", ""),
        (HANDOFF, "See the pricing page.", "answered what it cannot know"),
        (HANDOFF, "I do not have access to prices.", "lacks 'pricing'"),
        (HANDOFF, "", "answered what it cannot know; lacks 'pricing'"),
    ],
)  # fmt: skip
def test_a_probe_is_judged_by_its_own_patterns(probe: Probe, answer: str, reason: str) -> None:
    result = judge_probe(probe, answer)
    assert result.reason == reason
    assert result.passed == (not reason)


def test_the_sample_has_ten() -> None:
    probes = load_probes(load_product(sample_product_file()))
    assert len(probes) == len({probe.id for probe in probes}) == 10
    assert {probe.expect for probe in probes} == {"answer", "handoff"}
    assert all(probe.all for probe in probes)
    for probe in probes:
        assert not judge_probe(probe, "").passed, "silence passes no probe"


def test_none_without_a_file() -> None:
    product = load_product(sample_product_file())
    assert load_probes(product.model_copy(update={"probes": Probes()})) == ()


def one(**changes: Any) -> str:
    probe = {"id": "a", "question": "q?", "expect": "answer", "why": "w", **changes}
    return yaml.safe_dump({"probes": [probe]})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (one(al=["x"]), "unknown key probes.0.al (known here: all, expect, id, none, question"),
        (one(expect="maybe"), "probes.0.expect"),
        (one(all=["("]), "is no regular expression"),
        (one(question=""), "probes.0.question"),
        ("probes: [", "is not YAML"),
        (b"probes: \xff", "is not YAML"),
        ("", "the file"),
        ("[]", "the file"),
    ],
)
def test_a_broken_file_is_told_in_one_line(
    own: Callable[[str | bytes], Product], content: str | bytes, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_probes(own(content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(own: Callable[[str | bytes], Product]) -> None:
    product = own("probes: []")
    assert load_probes(product) == ()
    Path(str(product.probes.file)).unlink()
    with pytest.raises(UserError, match=r"does not exist\. Mend probes\.file"):
        load_probes(product)

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from supportbot_dagster.synthesis import filters
from supportbot_dagster.synthesis.pairs import synthesize
from supportbot_dagster.synthesis.section import SectionText, sections_of
from supportbot_dagster.synthesis.teacher import Pair, Phrased, Usage

MARKDOWN = (
    "Open **Settings > General** and type the [new name](https://x.example/a).\n\n"
    "The old address redirects for 30 days."
)
GOOD = Pair(
    "How do I change the URL?",
    "Open Settings > General and type the new name. The old one redirects for 30 days.",
    "The old address redirects for 30 days.",
    "correct",
)


class Fixed:
    """A teacher that says what it is told, by section key."""

    version = "fixed"

    def __init__(self, said: Mapping[str, Sequence[Pair]]) -> None:
        self._said = said

        self.usage = Usage()

    def phrase(self, sections: Sequence[SectionText]) -> Iterator[Phrased]:
        for section in sections:
            yield Phrased(section, self._said.get(section.key, ()))


def page(url: str, *anchors: str) -> dict[str, object]:
    return {
        "url": url,
        "sections": [
            {
                "anchor": anchor,
                "content_hash": f"hash of {anchor}",
                "heading_path": ["Workspace", "Change URL"],
                "markdown": MARKDOWN,
            }
            for anchor in anchors
        ],
    }


PAGES = [page("https://d.example/a.html", "", "one", "two")]
ONE, TWO = "https://d.example/a.html#one", "https://d.example/a.html#two"


def test_sections_keep_their_address_and_hash() -> None:
    keys = [section.key for section in sections_of(PAGES)]
    assert keys == ["https://d.example/a.html", ONE, TWO]


def test_rows_rejects_and_silence_add_up() -> None:
    wrong = replace(GOOD, question="For how long?", answer=GOOD.answer.replace("30", "31"))
    near = replace(GOOD, question="how do i change the url??")
    other = replace(GOOD, question="where does the workspace address live", style="casual")
    calls: list[tuple[str, int, int | None]] = []
    result = synthesize(
        PAGES,
        Fixed({ONE: [GOOD, wrong, near], TWO: [near, other]}),
        lambda label, done, total: calls.append((label, done, total)),
    )
    assert [(row.question, row.evidence, row.style) for row in result.rows] == [
        (GOOD.question, ONE, "correct"),
        (other.question, TWO, "casual"),
    ]
    assert {row.source_hash for row in result.rows} == {"hash of one", "hash of two"}
    assert result.reject_counts == {
        "fact not in the section": 1,
        "near copy of another phrasing": 1,
        "near copy of another section's question": 1,
    }
    assert result.silent_sections == ["https://d.example/a.html"]
    assert calls[-1] == ("sections phrased", 3, 3)


def test_near_duplicates_within_a_section_are_told_apart_from_new_wordings() -> None:
    near = replace(GOOD, question="How do I change the URLs?")
    other = replace(GOOD, question="Where do I rename our address?")
    result = synthesize(PAGES, Fixed({ONE: [GOOD, near, other]}))
    assert [row.question for row in result.rows] == [GOOD.question, other.question]
    assert result.reject_counts == {"near copy of another phrasing": 1}


def test_a_wrong_fact_would_be_taught_without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(GOOD, answer=GOOD.answer.replace("30", "31"))
    assert synthesize(PAGES, Fixed({ONE: [wrong]})).rows == []
    monkeypatch.setattr(filters, "unsupported", lambda text, sources: [])
    (taught,) = synthesize(PAGES, Fixed({ONE: [wrong]})).rows
    assert "31 days" in taught.output

"""What the embedded ``pocket`` base may learn from, and what it must never see.

What lives here: the corpus of the embedded base, put together from the sample. What does not: its
training (:mod:`supportbot_dagster.training.pocket`), the batches made of it
(:mod:`supportbot_dagster.training.pocket_examples`) and the noise on questions
(:mod:`supportbot_dagster.training.noise`).

``python -m supportbot_dagster.training.pocket_corpus FILE`` writes it to a file, for training on a
machine that has PyTorch and little else.

The corpus holds:

- the sample product's docs as running text, without the sections that its dataset withholds;
- the recorded teacher's questions about them with their answers;
- unanswerable questions written for the base alone (``pocket_deflections.jsonl``), most of them
  near misses of a docs section, with the deflection of their category, with that of the sample's
  refusal family that they name, or naming the docs section that they are nearest to;
- for training, crossings of these questions
  (:mod:`supportbot_dagster.training.pocket_crossings`).

It holds no ticket, no probe and no question of a refusal family: held-out questions come from
ticket threads and refusal families, so nothing that a bot is tested on enters its base. What
nearly copies one of these is left out, and counted.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from rapidfuzz import fuzz, process

from supportbot_dagster.crawl import Page, crawl
from supportbot_dagster.dataset.rows import normalized_question
from supportbot_dagster.dataset.withheld import is_withheld
from supportbot_dagster.hashing import sha256_text
from supportbot_dagster.jsonl import read_jsonl
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.refusals.families import deflection
from supportbot_dagster.refusals.near_miss import contrast_answer
from supportbot_dagster.refusals.rows import build_refusal_rows
from supportbot_dagster.sample.server import PUBLIC_BASE, serve_sample_site
from supportbot_dagster.synthesis.section import sections_of
from supportbot_dagster.synthesis.teacher import load_recordings
from supportbot_dagster.tickets.importers import load_export
from supportbot_dagster.tickets.single_turn import customer_question
from supportbot_dagster.training.pocket_examples import UNANSWERABLE, Asked, Corpus

DEFLECTIONS = Path(__file__).parent / "pocket_deflections.jsonl"
SAMPLE_FOLDER = Path(__file__).parent.parent / "sample"
COPY = 85.0
"""Token-sort ratio (0 to 100) from which a question copies one that a bot may be tested on."""
WATCHED = 25
"""One question in so many is held back, to watch the training by."""
CROSSINGS = 150_000
CHECKED_AT_ONCE = 2000


def sample_corpus() -> Corpus:
    """The embedded sample's docs and recordings, and the deflections of the base's own."""
    with serve_sample_site() as url:
        pages: list[Page] = crawl(url, public_base=PUBLIC_BASE).pages
    recordings = load_recordings(SAMPLE_FOLDER / "teacher")
    product = load_product(sample_product_file())
    sections = sections_of([page.to_dict() for page in pages])
    headings = {section.key: section.heading_path for section in sections}
    refusals = build_refusal_rows(product, sections).rows
    families = {row.source.partition("/")[2]: row.output for row in refusals}
    tested = _tested_questions([row.question for row in refusals])
    texts: list[str] = []
    asked: list[Asked] = []
    for section in sections:
        if is_withheld(section.key, product.dataset.withheld, product.dataset.seed):
            continue
        texts.append(f"{' > '.join(section.heading_path)}\n{section.markdown}")
        reply = recordings.get(section.content_hash)
        if reply is not None:
            asked += [Asked(item.question, reply.answer, section.key) for item in reply.questions]
    for number, row in enumerate(read_jsonl(DEFLECTIONS)):
        if "family" in row:
            said = families[row["family"]]
        elif "neighbour" in row:
            near = row["neighbour"]
            said = contrast_answer(product, headings[near][-1], near, number)
        else:
            said = deflection(row["category"], product, number)
        asked.append(Asked(row["question"], said, UNANSWERABLE + row["category"]))
    copies = _copies_tested([item.question for item in asked], tested)
    kept = [item for item, copy in zip(asked, copies, strict=True) if not copy]
    watched = [item for item in kept if _is_watched(item.question)]
    trained = [item for item in kept if not _is_watched(item.question)]
    return Corpus(
        texts=texts,
        pairs=[item for item in trained if item.answerable],
        deflections=[item for item in trained if not item.answerable],
        watched=watched,
        copies=len(asked) - len(kept),
    )


def _is_watched(question: str) -> bool:
    """By the question alone: what was held back once stays so when questions are added."""
    return int(sha256_text(question)[:8], 16) % WATCHED == 0


def _tested_questions(refusals: Sequence[str]) -> list[str]:
    """Probes, questions of refusal families and customers' messages of the sample's tickets."""
    export = load_export(SAMPLE_FOLDER / "tickets.json")
    probes = yaml.safe_load((SAMPLE_FOLDER / "probes.yaml").read_text(encoding="utf-8"))
    return [
        normalized_question(text)
        for text in (
            *(probe["question"] for probe in probes["probes"]),
            *refusals,
            *(customer_question(ticket.comments[0].body) for ticket in export.tickets),
        )
    ]


def _copies_tested(questions: Sequence[str], tested: Sequence[str]) -> list[bool]:
    found: list[bool] = []
    for start in range(0, len(questions), CHECKED_AT_ONCE):
        part = [normalized_question(text) for text in questions[start : start + CHECKED_AT_ONCE]]
        ratios = process.cdist(
            part, tested, scorer=fuzz.token_sort_ratio, score_cutoff=COPY, workers=-1
        )
        found += (ratios.max(axis=1) >= COPY).tolist()
    return found


def training_corpus() -> Corpus:
    """:func:`sample_corpus` with crossings, telling on standard error what is being done."""
    from supportbot_dagster.training.pocket_crossings import read_crossings

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    say("the sample's docs and the questions about them are read")
    corpus = sample_corpus()
    return replace(corpus, crossed=read_crossings(corpus, CROSSINGS, say=say))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the corpus to a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    training_corpus().write(parser.parse_args(arguments).file)


if __name__ == "__main__":
    main()

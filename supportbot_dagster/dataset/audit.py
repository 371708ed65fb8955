"""The merged dataset, audited from its files.

What lives here: the properties that make held-out figures mean something. What does not: the merge
that should bring them about; it is audited, not trusted.
"""

from collections import defaultdict
from collections.abc import Sequence

from supportbot_dagster.dataset.duplicates import NEAR_COPY, Questions, copies, prepare
from supportbot_dagster.dataset.merge import PROBE_SIMILARITY
from supportbot_dagster.dataset.rows import SPLITS, Row, normalized_question
from supportbot_dagster.dataset.unseen import has_controls, template_token
from supportbot_dagster.dataset.withheld import addresses, names_withheld


def audit_dataset(rows: Sequence[Row], probes: Sequence[str] = ()) -> list[str]:
    """Everything that is wrong, in words; empty when nothing is."""
    problems: list[str] = []
    groups: dict[str, set[str]] = defaultdict(set)
    questions: dict[str, set[str]] = defaultdict(set)
    ids: set[str] = set()
    copied = [normalized_question(probe) for probe in probes]
    unshown = {row.source for row in rows if row.bucket == "docs" and row.split != "train"}
    named = addresses(unshown)
    for row in rows:
        if row.split not in SPLITS:
            problems.append(f"row {row.id} has no split")
        if row.id in ids:
            problems.append(f"row {row.id} stands twice")
        ids.add(row.id)
        groups[f"{row.bucket} {row.source}"].add(row.split)
        normalized = normalized_question(row.question)
        questions[normalized].add(row.split)
        if any(copies(normalized, probe, PROBE_SIMILARITY) for probe in copied):
            problems.append(f"row {row.id} is a probe")
        if row.split == "train" and row.evidence in unshown and row.bucket != "docs":
            problems.append(f"row {row.id} tells of the withheld section {row.evidence}")
        if row.split == "train" and row.bucket != "docs" and names_withheld(row.output, named):
            problems.append(f"row {row.id} names a withheld section")
        text = f"{row.question}\n{row.output}"
        if has_controls(text) or template_token(text):
            problems.append(f"row {row.id} holds control characters or a chat template's token")
        if not row.output.strip():
            problems.append(f"row {row.id} has no output")
    problems += [
        f"{group} stands in {', '.join(sorted(splits))}"
        for group, splits in groups.items()
        if len(splits) > 1
    ]
    problems += [
        f"the question {question!r} stands in {', '.join(sorted(splits))}"
        for question, splits in questions.items()
        if len(splits) > 1
    ]
    once = [row for row in rows if len(questions[normalized_question(row.question)]) == 1]
    return problems + _near_copies(once)


def _near_copies(rows: Sequence[Row]) -> list[str]:
    """Training rows whose question nearly copies a held-out one."""
    texts = [normalized_question(row.question) for row in rows]
    held = Questions(NEAR_COPY)
    problems: list[str] = []
    hashed = prepare(texts)
    for row, text, prepared in zip(rows, texts, hashed, strict=True):
        if row.split != "train":
            held.add(f"{row.id} of {row.split}", text, prepared)
    for row, text, prepared in zip(rows, texts, hashed, strict=True):
        if row.split == "train" and (key := held.find(text, prepared)) is not None:
            problems.append(f"training row {row.id} nearly copies row {key}")
    return problems

"""The rows group: what can be trained on, by where it comes from.

What lives here: four assets, one for each kind of row. What does not: how rows are made
(:mod:`supportbot_dagster.synthesis`, :mod:`supportbot_dagster.refusals`,
:mod:`supportbot_dagster.dataset.ticket_rows`).
"""

from collections import Counter
from dataclasses import replace

import dagster as dg

from supportbot_dagster.assets.house import House, Rows, counts, log_progress, rows_output, table
from supportbot_dagster.dataset.ticket_rows import follow_up_rows, ticket_rows
from supportbot_dagster.hashing import sha256_path
from supportbot_dagster.refusals.families import BUILTIN_FAMILIES
from supportbot_dagster.refusals.near_miss import PARTS
from supportbot_dagster.refusals.rows import build_refusal_rows, near_copies
from supportbot_dagster.resources.artifact_store import ArtifactStore
from supportbot_dagster.resources.teacher_model import TeacherModel, teacher_settings
from supportbot_dagster.review.candidates import FOLDER as REVIEW
from supportbot_dagster.review.candidates import to_records
from supportbot_dagster.review.reviewed import apply_verdicts
from supportbot_dagster.synthesis.filters import own_words
from supportbot_dagster.synthesis.pairs import synthesize
from supportbot_dagster.synthesis.section import sections_of


def build(house: House) -> list[dg.AssetsDefinition]:
    """The assets of this group for one product."""
    product = house.product

    @dg.asset(
        description="Questions in customers' words with a support-voice answer, phrased by the "
        "teacher for every docs section and filtered against it.",
        **house.common(
            group="rows",
            kinds={"jsonl"},
            version="4",
            settings=[
                house.content(product.teacher.recordings, "teacher"),
                *teacher_settings(product),
                product.review,
                house.verdicts.version() if house.verdicts else "none",
            ],
            rows=True,
        ),
    )
    def synthesized_pairs(
        context: dg.AssetExecutionContext,
        docs_crawl: Rows,
        teacher_model: TeacherModel,
        store: ArtifactStore,
    ) -> dg.Output[Rows]:
        teacher = teacher_model.teacher(product, store)
        result = synthesize(docs_crawl, teacher, log_progress(context), own_words(product.name))
        reviewed = apply_verdicts(
            result.candidates,
            house.verdicts.current() if house.verdicts else {},
            sections_of(docs_crawl),
            required=product.review == "required",
        )
        on_the_page = [*result.candidates, *reviewed.restored]
        store.write_rows(REVIEW, context.partition_key, to_records(on_the_page))
        result = replace(result, candidates=reviewed.candidates)
        taught = result.rows
        rows = [row.to_dict() for row in taught]
        return rows_output(
            rows,
            {
                "teacher": teacher.version,
                "styles": counts(dict(Counter(row.style for row in taught)), "style"),
                "rejected": counts(result.reject_counts),
                "rejected_examples": table(
                    [
                        {"section": item.section, "question": item.question, "reason": item.reason}
                        for item in result.rejected
                    ]
                ),
                "review": counts(reviewed.counts, "verdict"),
                "review_kept_share": _share(reviewed.kept_share),
                "sections_without_a_pair": len(result.silent_sections),
                "teacher_faults": table(
                    [{"section": key, "fault": why} for key, why in result.faults.items()]
                ),
                "teacher_failed": dict(Counter(result.faults.values())),
                "teacher_calls": teacher.usage.calls,
                "teacher_replies_kept": teacher.usage.cached,
                "teacher_tokens": teacher.usage.tokens,
                "teacher_cost": _money(teacher.usage.cost),
                "preview": _preview(rows),
            },
        )

    @dg.asset(
        description="Real single-turn questions, typos kept, with the agent's reply without "
        "greeting and name; questions that need account access become deflections.",
        **house.common(
            group="rows",
            kinds={"jsonl"},
            version="1",
            settings=[product.facts],
            rows=True,
        ),
    )
    def ticket_pairs(context: dg.AssetExecutionContext, ticket_export: Rows) -> dg.Output[Rows]:
        result = ticket_rows(ticket_export, product, log_progress(context))
        rows = [row.to_dict() for row in result.rows]
        return rows_output(
            rows,
            {
                "linked_to_docs": sum(bool(row.evidence) for row in result.rows),
                "account_questions": sum(row.bucket == "refusals" for row in result.rows),
                "left_out": counts(result.left_out),
                "preview": _preview(rows),
            },
        )

    @dg.asset(
        description="Multi-turn conversations in the messages schema with splits of their own, "
        "kept for a second training stage.",
        **house.common(
            group="rows",
            kinds={"jsonl"},
            version="3",
            settings=[product.dataset.splits, str(product.dataset.seed)],
            rows=True,
        ),
    )
    def followup_conversations(ticket_export: Rows) -> dg.Output[Rows]:
        result = follow_up_rows(ticket_export, product.dataset.splits, product.dataset.seed)
        return rows_output(
            result.rows,
            {
                "splits": counts(dict(Counter(row["split"] for row in result.rows)), "split"),
                "left_out": counts(result.left_out),
                "preview": table(
                    [
                        {"turns": len(row["messages"]), "opens": row["messages"][0]["content"]}
                        for row in result.rows
                    ]
                ),
            },
        )

    @dg.asset(
        description="Unanswerable questions by category with a deflection that names what is "
        "lacking and gives the next step: none may copy a question that the docs answer, and the "
        "docs prove that the features that are said to be missing are.",
        **house.common(
            group="rows",
            kinds={"jsonl"},
            version="4",
            settings=[
                house.content(product.refusals.families, "refusals.yaml"),
                sha256_path(BUILTIN_FAMILIES),
                sha256_path(PARTS),
                product.facts,
                product.name,
                str(product.dataset.withheld),
                str(product.dataset.seed),
            ],
            rows=True,
        ),
    )
    def refusal_rows(docs_crawl: Rows) -> dg.Output[Rows]:
        result = build_refusal_rows(product, sections_of(docs_crawl))
        rows = [row.to_dict() for row in result.rows]
        return rows_output(
            rows,
            {
                "categories": counts(result.categories, "category"),
                "families": len({row.source for row in result.rows}),
                "near_copies_of_another_family": f"{near_copies(result.rows) / len(rows):.1%}",
                "left_out": counts(result.left_out),
                "features_not_proven_missing": table(
                    [
                        {"name": one.family, "neighbour": one.neighbour, "why": one.why}
                        for one in result.unproven
                    ],
                    limit=60,
                ),
                "preview": _preview(rows),
            },
        )

    return [synthesized_pairs, ticket_pairs, followup_conversations, refusal_rows]


def _share(value: float | None) -> str:
    return "nothing was reviewed yet" if value is None else f"{value:.0%}"


def _money(cost: float | None) -> str:
    return "not known, no prices are set" if cost is None else f"{cost:.4f}"


def _preview(rows: Rows) -> dg.TableMetadataValue:
    """Rows spread over the whole set."""
    step = max(1, len(rows) // 12)
    return table(
        [
            {key: row[key] for key in ("instruction", "output", "source", "style")}
            for row in rows[::step]
        ]
    )

"""What a site repeats at the top and the bottom of its pages.

What lives here: finding those blocks among all pages of a crawl, for the pages that do not say
which element holds their content, and leaving them out. What does not: what a single page tells by
the names of its elements (``extract``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from supportbot_dagster.crawl.markdown import Block, Heading
from supportbot_dagster.hashing import sha256_text

MIN_PAGES = 5
"""Fewer pages tell nothing about what is repeated."""


def repeated_keys(pages: Sequence[Sequence[Block]], known: Iterable[Collection[str]]) -> set[str]:
    """Keys of the blocks that stand on over half of the pages.

    Args:
        pages: the blocks of each page that was read anew.
        known: for each page that did not change, the keys of what was left out of it.
    """
    unchanged = list(known)
    counts: Counter[str] = Counter()
    for blocks in pages:
        counts.update({_key(block) for block in blocks})
    for keys in unchanged:
        counts.update(set(keys))
    total = len(pages) + len(unchanged)
    if total < MIN_PAGES:
        return set()
    return {key for key, count in counts.items() if count * 2 > total}


def without_repeated(
    blocks: list[Block], repeated: Collection[str]
) -> tuple[list[Block], tuple[str, ...]]:
    """The blocks without the repeated ones at either end, and the keys of those that are gone.

    A repeated block between others is content: many pages say "Example:". Headings stay wherever
    they are, and so does code; a heading of the page's own ends what may go.
    """
    if not repeated:
        return blocks, ()
    gone: set[int] = set()
    for order in (range(len(blocks)), range(len(blocks) - 1, -1, -1)):
        for place in order:
            block = blocks[place]
            if _key(block) not in repeated or (isinstance(block, str) and block.startswith("```")):
                break
            if isinstance(block, str):
                gone.add(place)
    kept = [block for place, block in enumerate(blocks) if place not in gone]
    if all(isinstance(block, Heading) for block in kept):
        return blocks, ()  # a page of nothing else keeps it
    return kept, tuple(sorted({_key(blocks[place]) for place in gone}))


def _key(block: Block) -> str:
    text = f"# {block.text}" if isinstance(block, Heading) else block
    return sha256_text(" ".join(text.split()))[:16]

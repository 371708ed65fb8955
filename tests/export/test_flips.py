from __future__ import annotations

from pathlib import Path

import pytest

from supportbot_dagster.export.flips import find_flips
from supportbot_dagster.product import Serving

SHORT = Serving(num_predict=24)


def knows(text: str) -> bool:
    """Takes the one answer that the model knows by heart for a refusal."""
    return text.startswith("Open the list")


@pytest.fixture(scope="module")
def blank(other_base: Path, toolchain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that knows nothing."""
    from supportbot_dagster.export.convert import to_gguf

    out = tmp_path_factory.mktemp("blank") / "blank.F16.gguf"
    to_gguf(other_base, out, toolchain=toolchain)
    return out


def test_a_sound_quantization_flips_nothing(f16: Path, q4: Path, question: str) -> None:
    report = find_flips(f16, q4, [], [question], knows, SHORT)
    assert (report.questions, report.refused_before, report.refused_after) == (1, 1, 1)
    assert report.became_answers == report.became_refusals == ()


def test_a_refusal_that_became_an_answer_is_found(f16: Path, blank: Path, question: str) -> None:
    report = find_flips(f16, blank, [], [question], knows, SHORT)
    assert report.became_answers == (question,)
    assert (report.refused_before, report.refused_after) == (1, 0)


def test_the_other_directions_are_told_apart(f16: Path, blank: Path, question: str) -> None:
    assert find_flips(f16, blank, [question], [], knows, SHORT).needless_no_more == (question,)
    assert find_flips(blank, f16, [question], [], knows, SHORT).became_refusals == (question,)

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export.vocabulary import stop_tokens
from supportbot_dagster.training.base import embedded_base_dir
from supportbot_dagster.training.catalogue import find_base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The embedded base without its weights, which are not looked at."""
    shutil.copytree(embedded_base_dir(), tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").unlink()
    return tmp_path / "base"


@pytest.mark.slow
def test_the_runtime_stops_at_the_end_of_turn(folder: Path, toolchain: Path) -> None:
    from transformers import AutoTokenizer

    stops = stop_tokens(folder, toolchain=toolchain)
    end = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(
        find_base("pocket").end_of_turn
    )
    assert end in stops
    assert len(stops) < 5, "not at every token"


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["tokenizer", "architecture"])
def test_what_the_converter_does_not_know_is_told(
    folder: Path, toolchain: Path, broken: str
) -> None:
    if broken == "tokenizer":
        # Then the converter goes by the hash of what the tokenizer makes of a text.
        (folder / "tokenizer.model").unlink()
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["model"]["byte_fallback"] = False
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": ["NoModel"]}))
    with pytest.raises(UserError, match="could not be converted") as caught:
        stop_tokens(folder, toolchain=toolchain)
    assert "\n" not in str(caught.value)

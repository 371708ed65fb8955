from __future__ import annotations

from pathlib import Path

from supportbot_dagster.training.encode import completion_tokens
from supportbot_dagster.training.lora import last_checkpoint


def checkpoint(folder: Path, number: int | str, state: str = '{"global_step": 1}') -> Path:
    path = folder / f"checkpoint-{number}"
    path.mkdir()
    (path / "optimizer.pt").write_bytes(b"x")
    (path / "trainer_state.json").write_text(state)
    return path


def test_the_newest_by_number_not_by_name(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    assert last_checkpoint(tmp_path / "none") is None
    checkpoint(tmp_path, 90)
    newest = checkpoint(tmp_path, 100)
    assert last_checkpoint(tmp_path) == newest


def test_a_half_written_one_does_not_count(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, state='{"global_st')
    checkpoint(tmp_path, 30, state="")
    (checkpoint(tmp_path, 40) / "trainer_state.json").unlink()
    (checkpoint(tmp_path, 50) / "optimizer.pt").unlink()
    (tmp_path / "checkpoint-60").write_text("a file")
    checkpoint(tmp_path, "final")
    assert last_checkpoint(tmp_path) == whole
    (whole / "trainer_state.json").write_bytes(b"\xff")
    assert last_checkpoint(tmp_path) is None


def test_each_of_several_processes_must_have_left_its_state(tmp_path: Path) -> None:
    older, newer = checkpoint(tmp_path, 10), checkpoint(tmp_path, 20)
    for path, ranks in ((older, (0, 1)), (newer, (0,))):
        for rank in ranks:
            (path / f"rng_state_{rank}.pth").write_bytes(b"x")
    assert last_checkpoint(tmp_path, processes=2) == older
    assert last_checkpoint(tmp_path) == newer


def test_only_tokens_with_loss_are_counted() -> None:
    assert completion_tokens([-100, -100, 5, 0, 7]) == 3
    assert completion_tokens([]) == 0

"""Bad input from the command line: one clear line, exit code 2, no traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supportbot_dagster import cli
from supportbot_dagster.partitions import current_month
from supportbot_dagster.product import sample_product_file

Run = Callable[..., str]


@pytest.fixture
def refused(
    tmp_path: Path,
    own_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs ``supportbot`` in this process; gives the one line on standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUPPORTBOT_ROOT", str(tmp_path / "root"))

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["supportbot", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert ended.value.code == 2, said.err
        assert said.out == ""
        # Progress is shown on a machine that is slow enough.
        (line,) = [line for line in said.err.splitlines() if not line.startswith("  ")]
        assert line.startswith("error: ")
        assert len(line.split()) > 5, "what, where, and how to mend it"
        return line

    return run


def product_with(folder: Path, old: str, new: str) -> str:
    text = sample_product_file().read_text(encoding="utf-8")
    assert old in text
    path = folder / "product.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target_rows", "target_row", "unknown key dataset.target_row (known here: "),
        ("dataset:", "datasets:", "unknown key datasets (known here: "),
        ("target_rows: 5000", "target_rows: many", "dataset.target_rows: "),
        ("slug: tracklight", "slug: Track Light", "slug: "),
        ("name: Tracklight", "", "missing key name"),
        ("name: Tracklight", "name: [", "is not YAML"),
        (
            "slug: tracklight",
            "slug: a\nslug: b",
            "the key slug stands on line 3 and again on line 4",
        ),
        ("cadence: monthly", "cadence: daily", "retrain.cadence: "),
        ("base: pocket", "base: gpt", "model.base 'gpt' is not in the catalogue"),
    ],
)
def test_a_product_file_that_does_not_fit(
    refused: Run, tmp_path: Path, old: str, new: str, said: str
) -> None:
    product = product_with(tmp_path, old, new)
    assert said in refused("status", "--product", product)


def test_a_product_file_that_is_not_there(refused: Run) -> None:
    for command in (["status"], ["retrain"], ["ui"], ["redact", "--in", "a", "--out", "b"]):
        assert "nowhere.yaml does not exist" in refused(*command, "--product", "nowhere.yaml")


@pytest.mark.parametrize("command", ["retrain", "status", "review"])
@pytest.mark.parametrize(
    ("month", "said"),
    [
        ("9999-01", "9999-01 is in the future"),
        ("2001-01", "before the first retrain month"),
        ("2026-13", "'2026-13' is not a month. Write it as YYYY-MM"),
        ("november", "'november' is not a month"),
        ("2026-1", "'2026-1' is not a month"),
    ],
)
def test_a_month_that_cannot_be(refused: Run, command: str, month: str, said: str) -> None:
    assert said in refused(command, "--month", month)
    assert not Path("root").exists(), "refused before anything is made"


def test_an_asset_that_is_none(refused: Run) -> None:
    said = refused("retrain", "--until", "pairs")
    assert "no asset 'pairs'. Name one of " in said
    assert "synthesized_pairs" in said
    assert not Path("root").exists(), "refused before anything is made"


def test_a_product_is_not_begun_twice(
    refused: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["supportbot", "init", "acme", "--name", "Acme Cloud"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert "acme/product.yaml" in capsys.readouterr().out
    text = Path("acme/product.yaml").read_text(encoding="utf-8")
    assert "name: Acme Cloud\n" in text
    assert "acme/product.yaml" in refused("init", "acme")
    assert Path("acme/product.yaml").read_text(encoding="utf-8") == text


def test_a_site_that_does_not_answer(refused: Run) -> None:
    said = refused("crawl", "http://127.0.0.1:9/docs/", "--out", "pages.jsonl")
    assert "http://127.0.0.1:9/docs/ did not answer" in said
    assert "no http(s) address" in refused("crawl", "docs", "--out", "pages.jsonl")
    said = refused("crawl", "http://127.0.0.1:9/docs/", "--out", "pages.jsonl", "--max-pages", "0")
    assert "--max-pages is 0" in said
    assert not Path("pages.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"text": "Jane Roe"}', "row 2 has no 'id'"),
        ('{"id": 2}', "row 2 has no 'text'"),
        ('{"id": 2, "text": ["Jane Roe"]}', "row 2: text is not a string"),
        ('{"id": 2, "text": "x", "known_names": "Jane Roe"}', "known_names is not a list"),
        ('["Jane Roe"]', "line 2 is a list, not an object"),
        ("Jane Roe", "line 2 is not JSON"),
    ],
)
def test_a_line_that_cannot_be_redacted(refused: Run, line: str, said: str) -> None:
    Path("in.jsonl").write_text('{"id": 1, "text": ""}\n' + line + "\n", encoding="utf-8")
    message = refused("redact", "--in", "in.jsonl", "--out", "out.jsonl")
    assert said in message
    assert "Jane" not in message, "personal data stays out of messages"
    assert not Path("out.jsonl").exists()


def test_files_that_cannot_be_read(refused: Run) -> None:
    Path("latin.jsonl").write_bytes(b'{"id": 1, "text": "caf\xe9"}\n')
    assert "is not UTF-8" in refused("redact", "--in", "latin.jsonl", "--out", "out.jsonl")
    assert "does not exist" in refused("redact", "--in", "gone.jsonl", "--out", "out.jsonl")
    assert "out.jsonl" not in os.listdir()


def test_doubts_into_a_file_that_is_taken(refused: Run) -> None:
    Path("in.jsonl").write_text('{"id": 1, "text": ""}\n', encoding="utf-8")
    for taken in ("in.jsonl", "out.jsonl"):
        said = refused("redact", "--in", "in.jsonl", "--out", "out.jsonl", "--doubts", taken)
        assert f"--doubts is {taken}, as --in or --out is. Name a file of its own." in said
    assert Path("in.jsonl").read_text(encoding="utf-8")


def test_a_folder_that_is_no_model(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"")
    said = refused("export", "--model", "model", "--out", "m.gguf")
    assert "model is no model folder: config.json is missing" in said
    assert "gone is no model folder" in refused("export", "--model", "gone", "--out", "m.gguf")


def test_questions_that_cannot_be_asked(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    for question in ("", "  \n\t", "\u0000"):
        assert "The question is empty" in refused("ask", question, "--bundle", "bundle")
    assert "4000 are allowed" in refused("ask", "why " * 1001, "--bundle", "bundle")
    assert "bot.json is missing" in refused("ask", "why?", "--bundle", "bundle")
    assert "gone is no bundle" in refused("ask", "why?", "--bundle", "gone")
    assert "There is no bundle" in refused("ask", "why?")
    assert "gone" in refused("verify", "gone")


def test_a_place_that_cannot_be_written(refused: Run, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("a file where a folder is wanted", encoding="utf-8")
    assert str(tmp_path / "root") in refused("status")
    (tmp_path / "in.jsonl").write_text("", encoding="utf-8")
    assert "File exists (root)" in refused("redact", "--in", "in.jsonl", "--out", "root/out.jsonl")


def candidates(folder: Path, text: str) -> str:
    """A file of candidates of the running month; gives the month."""
    month = current_month()
    place = folder / "root" / "review" / f"{month}.jsonl"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return month


def test_a_review_that_cannot_begin(refused: Run, tmp_path: Path) -> None:
    said = refused("review")
    assert "has no candidates yet. Run supportbot retrain --until synthesized_pairs" in said
    month = candidates(tmp_path, '{"section": "x"}\n')
    said = refused("review", "--month", month)
    assert "line 1 of the candidates is damaged" in said
    candidates(tmp_path, "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused("review", "--port", port)
    assert f"port {port} of 127.0.0.1 cannot be opened" in said
    (tmp_path / "root" / "review.sqlite").unlink()
    (tmp_path / "root" / "review.sqlite").mkdir()
    assert "review.sqlite cannot be written" in refused("review")


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found: 4711"), OSError("none")])
def test_a_user_without_a_name_reviews_as_well(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nobody)
    assert cli._user_name() == ""


# In processes of their own ------------------------------------------------------------------------


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert lines[-1].startswith("error: ")
    return lines[-1]


def test_a_ticket_export_that_is_cut_off(world: Any) -> None:
    text = world.tickets.read_text(encoding="utf-8")
    world.tickets.write_text(text[: len(text) // 2], encoding="utf-8")
    # The base is not there either: nothing is trained, whatever happens.
    world.change_product(model={"base": "gemma-4-e2b"})
    environment = {**world.environment, "SUPPORTBOT_BASE_DIR": str(world.folder / "gone")}
    done = subprocess.run(
        world.command("retrain"),
        cwd=world.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    last_line(done)
    status = world.run("status", "--json")
    states = {item["asset"]: item for item in json.loads(status.stdout)["assets"]}
    assert states["ticket_export"]["state"] == "failed"
    why = states["ticket_export"]["why"][0]
    assert f"{world.tickets} line 1 is not JSON" in why
    assert "the file may be cut off. Export the tickets again" in why
    assert states["docs_crawl"]["state"] == "fresh", "what could be done is kept"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(world: Any, small_disk: Path) -> None:
    world.environment["SUPPORTBOT_ROOT"] = str(small_disk)
    said = last_line(world.run("retrain"))
    assert re.search("disk is full|disk I/O error|No space left", said)

    for path in small_disk.iterdir():
        shutil.rmtree(path)
    (small_disk / "filler").write_bytes(b"x" * (1 << 20))
    out = small_disk / "pages.jsonl"
    assert "No space left" in last_line(world.run("crawl", world.url, "--out", str(out)))
    assert [path.name for path in small_disk.iterdir()] == ["filler"], "nothing half-written"

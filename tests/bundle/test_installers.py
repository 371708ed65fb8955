"""The shell scripts, run for real against an ``ollama`` that records how it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

MODEL = "tracklight-support-helper"
OLLAMA = """#!/bin/sh
printf '%s\\n' "$*" >> "{log}"
case $1 in
    --version) echo "ollama version is {version}" ;;
    list) exit {list_code} ;;
    create) exit {create_code} ;;
    run) printf '%s' '{answer}' ;;
    show) exit {show_code} ;;
esac
"""


@dataclass
class Machine:
    """A search path with the usual tools and, if wanted, an ``ollama``."""

    path: Path
    log: Path

    def ollama(self, **changes: object) -> None:
        settings: dict[str, object] = {
            "log": self.log,
            "version": "0.12.11",
            "list_code": 0,
            "create_code": 0,
            "show_code": 0,
            "answer": "I answer questions about Tracklight.",
            **changes,
        }
        program = self.path / "ollama"
        program.write_text(OLLAMA.format(**settings))
        program.chmod(0o755)

    def run(self, script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(script), *arguments],
            env={"PATH": str(self.path), "HOME": str(self.path)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sha256sum", "dirname", "sed", "head", "sort"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return Machine(folder, tmp_path / "calls.log")


def test_installing_creates_the_model_and_asks_one_question(bundle: Path, machine: Machine) -> None:
    machine.ollama()
    for _ in range(2):
        done = machine.run(bundle / "install.sh")
        assert done.returncode == 0, done.stderr
        assert "I answer questions about Tracklight." in done.stdout
        assert "Note:" not in done.stdout
    assert machine.calls == 2 * [
        "list",
        "--version",
        f"create {MODEL} -f Modelfile",
        f"run {MODEL} Customer question: What can you help me with?",
    ]


def test_another_name_is_taken_and_a_hostile_one_is_not(bundle: Path, machine: Machine) -> None:
    machine.ollama()
    assert machine.run(bundle / "install.sh", "my-bot:v2").returncode == 0
    assert "create my-bot:v2 -f Modelfile" in machine.calls
    done = machine.run(bundle / "install.sh", "x; touch /tmp/evil")
    assert done.returncode == 1
    assert "no model name" in done.stderr


def test_without_ollama_it_says_where_to_get_it(bundle: Path, machine: Machine) -> None:
    done = machine.run(bundle / "install.sh")
    assert done.returncode == 1
    assert "https://ollama.com/download" in done.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"list_code": 1}, "does not answer"),
        ({"create_code": 1}, "'ollama create' failed"),
        ({"answer": ""}, "empty answer"),
    ],
)
def test_a_failing_ollama_is_reported(
    bundle: Path, machine: Machine, changes: dict[str, object], message: str
) -> None:
    machine.ollama(**changes)
    done = machine.run(bundle / "install.sh")
    assert done.returncode == 1
    assert message in done.stderr


def test_a_tampered_file_stops_the_installer(bundle: Path, machine: Machine) -> None:
    machine.ollama()
    with (bundle / "Modelfile").open("a") as file:
        file.write("SYSTEM evil\n")
    done = machine.run(bundle / "install.sh")
    assert done.returncode == 1
    assert "damaged or was changed" in done.stderr
    assert machine.calls == []


@pytest.mark.parametrize(
    ("version", "noted"),
    [("0.12.10", True), ("0.9.30", True), ("0.12.11", False), ("0.13.0", False), ("1.0.0", False)],
)
def test_an_old_ollama_is_noted_but_used(
    bundle: Path, machine: Machine, version: str, noted: bool
) -> None:
    machine.ollama(version=version)
    done = machine.run(bundle / "install.sh")
    assert done.returncode == 0
    assert ("Note: Ollama" in done.stdout) is noted


def test_uninstalling_removes_the_model_once(bundle: Path, machine: Machine) -> None:
    assert machine.run(bundle / "uninstall.sh").returncode == 0
    machine.ollama()
    assert machine.run(bundle / "uninstall.sh").returncode == 0
    assert machine.calls == [f"show {MODEL}", f"rm {MODEL}"]
    machine.ollama(show_code=1)
    done = machine.run(bundle / "uninstall.sh")
    assert done.returncode == 0
    assert "nothing to remove" in done.stdout


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("name", ["install.sh", "uninstall.sh"])
def test_the_scripts_are_clean_posix_shell(bundle: Path, name: str) -> None:
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--severity=style", str(bundle / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("pwsh") is None, reason="PowerShell is not installed")
def test_the_powershell_script_parses(bundle: Path) -> None:
    script = bundle / "install.ps1"
    done = subprocess.run(
        [
            *("pwsh", "-NoProfile", "-Command"),
            "$e = $null; [void][Management.Automation.Language.Parser]::ParseFile("
            f"'{script}', [ref]$null, [ref]$e); exit $e.Count",
        ],
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 0


def test_the_powershell_script_does_the_same_steps(bundle: Path) -> None:
    text = (bundle / "install.ps1").read_text()
    for step in ("Get-FileHash", "ollama list", "ollama create $Model -f Modelfile", "ollama run"):
        assert step in text
    assert f"'{MODEL}'" in text

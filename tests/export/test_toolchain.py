from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supportbot_dagster.errors import UserError
from supportbot_dagster.export import toolchain
from supportbot_dagster.hashing import sha256_file

VERSION = "0.0.1"
# A build backend inside the archive: pip asks for metadata even when it only downloads.
BACKEND = f"""
import os
def prepare_metadata_for_build_wheel(folder, settings=None):
    name = "llama_cpp_python-{VERSION}.dist-info"
    os.makedirs(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: {VERSION}\\n")
    return name
def build_wheel(*args, **kwargs):
    raise SystemExit("must not be built")
"""
MODELS = (
    "models/ggml-vocab-gemma-4.gguf",
    "models/ggml-vocab-gemma-4.gguf.inp",
    "models/ggml-vocab-gemma-4.gguf.out",
    "models/ggml-vocab-llama-bpe.gguf",
    "models/ggml-vocab-llama-bpe.gguf.inp",
    "models/ggml-vocab-llama-bpe.gguf.out",
    "models/templates/google-gemma-4-31B-it.jinja",
    "models/templates/meta-llama-Llama-3.1-8B-Instruct.jinja",
    "models/templates/meta-llama-Llama-3.2-3B-Instruct.jinja",
)
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def write_sdist(path: Path, extra: dict[str, str] | None = None) -> Path:
    top = f"llama_cpp_python-{VERSION}"
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: {VERSION}\n",
        "pyproject.toml": PYPROJECT,
        "backend.py": BACKEND,
        "vendor/llama.cpp/convert_hf_to_gguf.py": "print('converter')\n",
        "vendor/llama.cpp/LICENSE": "MIT\n",
        "vendor/llama.cpp/conversion/llama.py": "x = 1\n",
        "vendor/llama.cpp/gguf-py/gguf/__init__.py": "y = 2\n",
        "vendor/llama.cpp/gguf-py/tests/big.py": "unwanted\n",
        "vendor/llama.cpp/src/llama.cpp": "unwanted\n",
        **{f"vendor/llama.cpp/{name}": f"{name}\n" for name in MODELS},
        "vendor/llama.cpp/models/ggml-vocab-qwen2.gguf": "unwanted\n",
        "vendor/llama.cpp/models/templates/Kimi-K2-Thinking.jinja": "unwanted\n",
        **(extra or {}),
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


@pytest.fixture
def sdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_sdist(tmp_path / f"llama_cpp_python-{VERSION}.tar.gz")
    monkeypatch.setattr(toolchain, "installed_version", lambda: VERSION)
    monkeypatch.setitem(toolchain.SDIST_SHA256, VERSION, sha256_file(path))
    monkeypatch.delenv(toolchain.SDIST_VARIABLE, raising=False)
    return path


@pytest.fixture
def index(sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A package index on loopback; yields the paths that were asked for."""
    served = tmp_path / "index" / "simple" / "llama-cpp-python"
    served.mkdir(parents=True)
    (served / sdist.name).write_bytes(sdist.read_bytes())
    (served / "index.html").write_text(f'<a href="{sdist.name}">{sdist.name}</a>')
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "index"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    yield asked
    server.shutdown()
    server.server_close()


def downloads(asked: list[str]) -> int:
    return sum(path.endswith(".tar.gz") for path in asked)


def test_the_converter_is_fetched_once_and_only_what_is_needed(
    index: list[str], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    told: list[str] = []
    tree = toolchain.converter(cache, lambda label, done, total: told.append(label))
    files = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}
    assert files == {
        "convert_hf_to_gguf.py",
        "LICENSE",
        "conversion/llama.py",
        "gguf-py/gguf/__init__.py",
        *MODELS,
        "supportbot-toolchain.json",
    }
    assert "fetch the GGUF converter" in told
    assert toolchain.converter(cache) == tree
    assert downloads(index) == 1


def test_a_corrupted_archive_or_tree_is_replaced(index: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    tree = toolchain.converter(cache)
    script = tree / toolchain.SCRIPT
    sound = script.read_text()
    script.write_text("tampered")
    assert toolchain.converter(cache) == tree
    assert script.read_text() == sound
    assert downloads(index) == 1, "the cached archive is good enough"
    archive = next(cache.rglob("*.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:100])
    (tree / "conversion" / "llama.py").unlink()
    assert (toolchain.converter(cache) / "conversion" / "llama.py").is_file()
    assert downloads(index) == 2
    assert not list(cache.rglob(".*")), "nothing half-done is left"


def test_a_tree_that_was_unpacked_when_less_was_wanted_is_unpacked_again(
    index: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    with monkeypatch.context() as before:
        before.setattr(toolchain, "_WANTED", (toolchain.SCRIPT, "conversion/"))
        assert not (toolchain.converter(cache) / toolchain.GEMMA4_VOCABULARY).exists()
    tree = toolchain.converter(cache)
    assert all((tree / name).is_file() for name in MODELS)
    # A version that kept no list of what it wanted.
    stamp = tree / "supportbot-toolchain.json"
    old = json.loads(stamp.read_text())
    del old["wanted"]
    old["files"] = {name: sha for name, sha in old["files"].items() if name not in MODELS}
    stamp.write_text(json.dumps(old))
    for name in MODELS:
        (tree / name).unlink()
    assert all((toolchain.converter(cache) / name).is_file() for name in MODELS)
    assert downloads(index) == 1, "the archive was there all the time"


def test_an_index_that_serves_another_file_is_not_believed(
    index: list[str], tmp_path: Path
) -> None:
    served = next((tmp_path / "index").rglob("*.tar.gz"))
    write_sdist(served, {"vendor/llama.cpp/evil.py": "x"})
    with pytest.raises(UserError, match="Do not use it"):
        toolchain.converter(tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.py"))


def test_offline_says_what_to_do(
    sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(UserError, match=r"could not be fetched .*SUPPORTBOT_LLAMA_SDIST") as error:
        toolchain.converter(tmp_path / "cache")
    assert "\n" not in str(error.value)


def test_a_local_archive_needs_no_network_and_is_checked(
    sdist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv(toolchain.SDIST_VARIABLE, str(sdist))
    assert (toolchain.converter(tmp_path / "cache") / toolchain.SCRIPT).is_file()
    wrong = tmp_path / "wrong.tar.gz"
    wrong.write_bytes(b"no archive")
    monkeypatch.setenv(toolchain.SDIST_VARIABLE, str(wrong))
    with pytest.raises(UserError, match="sha256 differs"):
        toolchain.converter(tmp_path / "other")
    assert wrong.exists(), "a file of the user is never removed"
    monkeypatch.setenv(toolchain.SDIST_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UserError, match="which is no file"):
        toolchain.converter(tmp_path / "other")


def test_members_that_climb_out_are_not_unpacked(
    tmp_path: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = write_sdist(
        tmp_path / "evil.tar.gz", {"vendor/llama.cpp/conversion/../../../../../escaped": "x"}
    )
    monkeypatch.setitem(toolchain.SDIST_SHA256, VERSION, sha256_file(evil))
    monkeypatch.setenv(toolchain.SDIST_VARIABLE, str(evil))
    with pytest.raises(UserError, match="cannot be unpacked"):
        toolchain.converter(tmp_path / "deep" / "cache")
    assert not list(tmp_path.rglob("escaped"))


def test_unknown_versions_name_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"9\.9\.9.*0\.3\.36"):
        toolchain.expected_sha256("9.9.9")


def test_the_installed_version_is_pinned() -> None:
    assert toolchain.expected_sha256(toolchain.installed_version())


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(toolchain.CACHE_VARIABLE, "/somewhere/else")
    assert toolchain.default_cache_dir() == Path("/somewhere/else")
    monkeypatch.delenv(toolchain.CACHE_VARIABLE)
    assert toolchain.default_cache_dir().name == "supportbot"

"""The graph as a whole: its shape, its documentation, and what loading it costs.

``tests/data/graph.json`` is the shape as text. After a change that was meant, write it again with
``python tests/test_definitions.py`` and read the difference.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from supportbot_dagster.definitions import build_definitions
from supportbot_dagster.product import load_product, sample_product_file
from supportbot_dagster.settings import load_settings
from supportbot_dagster.training import base

SNAPSHOT = Path(__file__).parent / "data" / "graph.json"
HEAVY = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "mlflow",
    "presidio_analyzer",
    "presidio_anonymizer",
    "llama_cpp",
    "spacy",
    "datasets",
    "matplotlib",
    "sklearn",
)


def definitions() -> dg.Definitions:
    settings = load_settings(product_file=sample_product_file())
    return build_definitions(settings, load_product(sample_product_file()))


def shape(defs: dg.Definitions) -> dict[str, Any]:
    """What a person would draw: assets, checks, jobs, schedules, sensors."""
    graph = defs.resolve_asset_graph()
    repository = defs.get_repository_def()
    checks: dict[str, list[str]] = {}
    for key in graph.asset_check_keys:
        blocking = " (blocking)" if graph.get_check_spec(key).blocking else ""
        checks.setdefault(key.asset_key.to_user_string(), []).append(key.name + blocking)
    return {
        "assets": {
            key.to_user_string(): {
                "group": node.group_name,
                "reads": sorted(parent.to_user_string() for parent in node.parent_keys),
                "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
                "pools": sorted(node.pools or ()),
                "checks": sorted(checks.get(key.to_user_string(), [])),
            }
            for level in graph.toposorted_asset_keys_by_level
            for key in sorted(level)
            for node in [graph.get(key)]
        },
        "jobs": {
            job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            item.name: {"job": item.job_name, "cron": item.cron_schedule}
            for item in repository.schedule_defs
        },
        "sensors": {
            item.name: {"job": item.job_name, "seconds": item.minimum_interval_seconds}
            for item in repository.sensor_defs
        },
    }


def test_the_graph_is_as_it_was_drawn() -> None:
    assert shape(definitions()) == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_asset_says_whose_it_is_and_what_it_is() -> None:
    graph = definitions().resolve_asset_graph()
    keys = [node.key.to_user_string() for node in graph.asset_nodes]
    assert len(keys) == 15
    for node in graph.asset_nodes:
        name = node.key.to_user_string()
        assert node.owners == ["team:support-bot"], name
        assert node.kinds, name
        assert node.tags["product"] == "tracklight", name
        assert node.tags["stage"] == node.group_name, name
        assert node.description, name
        assert len(node.description.split()) >= 5, name
        assert node.code_version, name
    for key in graph.asset_check_keys:
        assert graph.get_check_spec(key).description, key
    for job in definitions().get_repository_def().get_all_jobs():
        assert job.name.startswith("__") or job.description, job.name


def test_owners_and_tags_follow_the_product() -> None:
    product = load_product(sample_product_file()).model_copy(
        update={"owners": ("someone@example.com",), "slug": "other"}
    )
    graph = build_definitions(load_settings(), product).resolve_asset_graph()
    assert {tuple(node.owners) for node in graph.asset_nodes} == {("someone@example.com",)}
    assert {node.tags["product"] for node in graph.asset_nodes} == {"other"}


def test_a_setting_changes_the_code_version_of_its_readers_alone() -> None:
    product = load_product(sample_product_file())
    training = product.model.training.model_copy(update={"epochs": 9.0})
    model = product.model.model_copy(update={"training": training})
    changed = product.model_copy(update={"model": model})
    before = build_definitions(load_settings(), product).resolve_asset_graph()
    after = build_definitions(load_settings(), changed).resolve_asset_graph()
    assert {
        node.key.to_user_string()
        for node in before.asset_nodes
        if after.get(node.key).code_version != node.code_version
    } == {"training_plan", "lora_adapter"}


def test_another_embedded_base_is_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version() -> str | None:
        product = load_product(sample_product_file())
        graph = build_definitions(load_settings(), product).resolve_asset_graph()
        return graph.get(dg.AssetKey("base_model")).code_version

    shipped = version()
    assert shipped == version()
    other = tmp_path / "base"
    shutil.copytree(base.embedded_base_dir(), other)
    monkeypatch.setattr(base, "embedded_base_dir", lambda: other)
    assert version() == shipped
    with (other / "model.safetensors").open("ab") as weights:
        weights.write(b"0")
    assert version() != shipped


def test_a_resource_can_be_replaced_in_one_place() -> None:
    from supportbot_dagster.resources.docs_site import DocsSite

    other = DocsSite(url="http://127.0.0.1:9/")
    defs = build_definitions(load_settings(), resources={"docs_site": other})
    assert defs.resources is not None
    assert defs.resources["docs_site"] is other


@pytest.fixture
def elsewhere(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder that is not the project's, and an environment without settings."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUPPORTBOT_")
    }
    return tmp_path, {**environment, "PYTHONWARNINGS": "ignore"}


LOAD = """
import json, sys
import supportbot_dagster.definitions as location
defs = location.defs()
keys = [key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()]
print(json.dumps({"keys": keys, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_loading_imports_nothing_heavy_and_works_from_anywhere(
    elsewhere: tuple[Path, dict[str, str]],
) -> None:
    folder, environment = elsewhere
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = json.loads(done.stdout)
    assert len(found["keys"]) == 15
    assert not set(HEAVY) & set(found["modules"])
    assert list(folder.iterdir()) == [], "loading leaves nothing behind"


def test_dagster_finds_the_definitions_from_anywhere(
    elsewhere: tuple[Path, dict[str, str]],
) -> None:
    folder, environment = elsewhere
    done = subprocess.run(
        [
            sys.executable,
            *"-m dagster definitions validate -m supportbot_dagster.definitions".split(),
        ],
        cwd=folder,
        env={**environment, "DAGSTER_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(shape(definitions()), indent=2) + "\n", encoding="utf-8")

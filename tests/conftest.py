"""A small product of its own for tests of the graph: a dozen articles and forty tickets.

Everything in it is real: the site is served over HTTP on loopback, the tickets are an export file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

import supportbot_dagster
from supportbot_dagster.partitions import current_month, month_start
from supportbot_dagster.product import Product, load_product, sample_product_file
from supportbot_dagster.sample.server import serve_sample_site
from supportbot_dagster.settings import Settings, load_settings

SAMPLE = Path(supportbot_dagster.__file__).parent / "sample"
ARTICLES = ("getting-started", "cycles", "insights", "roadmap", "initiatives", "import-export")
EVERY = 25
OPEN_GATES = {
    "answerable_right": 0.0,
    "unanswerable_deflected": 0.0,
    "answerable_deflected": 1.0,
    "probes_passed": 0,
    "longest_ticket_overlap_words": 500,
    "perplexity_ratio": 10.0,
    "refusals_lost": 500,
}
"""Gates that a bot passes that hardly learned anything."""


def months_before(month: str, count: int) -> str:
    """The month ``count`` months earlier."""
    start = month_start(month)
    index = start.year * 12 + start.month - 1 - count
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def write_site(folder: Path) -> Path:
    """A copy of some groups of the sample site, to edit."""
    for group in ARTICLES:
        shutil.copytree(SAMPLE / "site" / "help" / group, folder / "help" / group)
    return folder


def write_tickets(path: Path, every: int = EVERY) -> Path:
    """Every 25th ticket of the sample's export, dated before the running month."""
    export = json.loads((SAMPLE / "tickets.json").read_text(encoding="utf-8"))
    by = month_start(current_month()) - datetime.fromisoformat(
        export["exported_at"].replace("Z", "+00:00")
    )
    tickets = export["tickets"][::every]
    people = {ticket[key] for ticket in tickets for key in ("requester_id", "assignee_id")}
    people |= {comment["author_id"] for ticket in tickets for comment in ticket["comments"]}
    companies = {ticket["organization_id"] for ticket in tickets}
    export["users"] = [user for user in export["users"] if user["id"] in people]
    export["organizations"] = [item for item in export["organizations"] if item["id"] in companies]
    export["tickets"] = _redate(tickets, timedelta(days=by.days))
    del export["exported_at"]
    path.write_text(json.dumps(export), encoding="utf-8")
    return path


def _redate(value: Any, by: timedelta) -> Any:
    if isinstance(value, list):
        return [_redate(item, by) for item in value]
    if isinstance(value, dict):
        return {
            key: _moved(item, by) if key.endswith("_at") else _redate(item, by)
            for key, item in value.items()
        }
    return value


def _moved(text: str, by: timedelta) -> str:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")) + by
    return moment.isoformat().replace("+00:00", "Z")


def change_product(path: Path, sections: Mapping[str, Any]) -> Path:
    """Change sections of a product file; keys that are not given stay."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    for section, values in sections.items():
        raw[section] = {**raw.get(section, {}), **values} if isinstance(values, dict) else values
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return path


@dataclass(frozen=True)
class World:
    """A product in a folder of its own, with its site on loopback."""

    folder: Path
    site_dir: Path
    url: str
    tickets: Path
    product_file: Path
    month: str
    environment: dict[str, str] = field(repr=False)

    @property
    def settings(self) -> Settings:
        return load_settings(root=str(self.folder / "root"), product_file=self.product_file)

    @property
    def product(self) -> Product:
        return load_product(self.product_file)

    def month_before(self, count: int) -> str:
        return months_before(self.month, count)

    def change_product(self, **sections: Any) -> Product:
        """Change sections of the product file."""
        change_product(self.product_file, sections)
        return self.product

    def edit_article(self, name: str = "cycles/cycles.html") -> tuple[Path, str]:
        """Add a paragraph to an article; returns its path and what stood there before."""
        path = self.site_dir / "help" / name
        before = path.read_text(encoding="utf-8")
        path.write_text(before + "\n<p>Cycles can now be paused for 14 days.</p>\n", "utf-8")
        return path, before

    def command(self, *arguments: str) -> list[str]:
        """The command line of ``supportbot`` in this environment."""
        return [sys.executable, "-m", "supportbot_dagster.cli", *arguments]

    def run(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """``supportbot ARGUMENTS`` in a process of its own, started in the world's folder."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches the test, and none that the test makes outlives it."""
    for name in (
        "DAGSTER_HOME",
        "MLFLOW_TRACKING_URI",
        "SUPPORTBOT_BASE_DIR",
        "SUPPORTBOT_HOME",
        "SUPPORTBOT_PRODUCT",
        "SUPPORTBOT_ROOT",
    ):
        monkeypatch.setenv(name, "")  # so that it is put back even if it was not there
        monkeypatch.delenv(name)


@pytest.fixture
def world(tmp_path: Path, own_environment: None) -> Iterator[World]:
    """A fresh small product; its site runs until the test ends."""
    folder = tmp_path / "world"
    folder.mkdir()
    with serve_sample_site(site_dir=write_site(folder / "site")) as url:
        month = current_month()
        product_file = folder / "product.yaml"
        shutil.copy(sample_product_file(), product_file)
        change_product(
            product_file,
            {
                "docs": {"url": url},
                "tickets": {"source": "tickets.json", "window_months": 12},
                "dataset": {"target_rows": 240},
                "gates": OPEN_GATES,
                "retrain": {"first_month": months_before(month, 5)},
            },
        )
        yield World(
            folder=folder,
            site_dir=folder / "site",
            url=url,
            tickets=write_tickets(folder / "tickets.json"),
            product_file=product_file,
            month=month,
            environment={
                **os.environ,
                "SUPPORTBOT_ROOT": str(folder / "root"),
                "SUPPORTBOT_PRODUCT": str(product_file),
                "PYTHONWARNINGS": "ignore",
            },
        )

"""The code location: everything that Dagster loads.

What lives here: assembly. :func:`build_definitions` takes overrides, so that a test or the command
line swaps a resource in one place. What does not: any asset, job, schedule, sensor or check.
"""

import os
from collections.abc import Mapping
from typing import Any

import dagster as dg

from supportbot_dagster import jobs, schedules, sensors
from supportbot_dagster.assets import dataset, evaluation, model, release, rows, sources
from supportbot_dagster.assets.house import House
from supportbot_dagster.checks import all_checks
from supportbot_dagster.product import Product, load_product
from supportbot_dagster.resources.artifact_store import ArtifactStore, io_managers
from supportbot_dagster.resources.docs_site import DocsSite
from supportbot_dagster.resources.experiment_tracker import ExperimentTracker
from supportbot_dagster.resources.model_runtime import ModelRuntime
from supportbot_dagster.resources.teacher_model import TeacherModel, teacher_model_of_environment
from supportbot_dagster.resources.ticket_source import TicketSource
from supportbot_dagster.resources.trainer import FILE_VARIABLE, Trainer
from supportbot_dagster.review.verdicts import VerdictStore
from supportbot_dagster.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None,
    product: Product | None = None,
    resources: Mapping[str, Any] | None = None,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """The definitions of one product on one installation.

    Args:
        settings: where data is kept; by default from the environment.
        product: what the bot is about; by default the settings' product file.
        resources: resources that replace the default ones, by key.
        loggers: loggers that replace Dagster's own, by key.
    """
    settings = settings or load_settings()
    product = product or load_product(settings.product_file)
    house = House(product, VerdictStore(settings.verdicts))
    assets = [
        asset
        for group in (sources, rows, dataset, model, evaluation, release)
        for asset in group.build(house)
    ]
    retrain, refresh_docs = jobs.build(house)
    return dg.Definitions(
        assets=assets,
        asset_checks=all_checks(house),
        jobs=[retrain, refresh_docs],
        schedules=schedules.build(house, retrain),
        sensors=sensors.build(house, refresh_docs),
        resources={**default_resources(settings, product), **(resources or {})},
        loggers=loggers,
    )


def default_resources(settings: Settings, product: Product) -> dict[str, Any]:
    """One resource for each outside system, by key. Nothing is connected to here."""
    docs_site, ticket_source = source_resources(product)
    teacher, teacher_url = teacher_model_of_environment()
    store = ArtifactStore(root=settings.root, scratch=str(settings.home))
    return {
        "store": store,
        **io_managers(store),
        "docs_site": docs_site,
        "ticket_source": ticket_source,
        "teacher_model": TeacherModel(
            recordings=product.teacher.recordings or "", model=teacher, base_url=teacher_url
        ),
        "tracker": ExperimentTracker(uri=settings.mlflow_uri, experiment=product.model_name),
        "runtime": ModelRuntime(),
        "trainer": Trainer(file=os.environ.get(FILE_VARIABLE, "")),
    }


def source_resources(product: Product) -> tuple[DocsSite, TicketSource]:
    """The two resources that bring the outside in."""
    return (
        DocsSite(
            url=product.docs.url,
            public_url=product.docs.public_url,
            max_pages=product.docs.max_pages,
            delay_seconds=product.docs.delay_seconds,
            contact=product.docs.contact,
        ),
        TicketSource(source=product.tickets.source),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The entry point of ``dagster dev`` and ``workspace.yaml``."""
    return build_definitions()

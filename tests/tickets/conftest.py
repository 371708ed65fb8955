from pathlib import Path

import pytest

from supportbot_dagster.tickets.redaction import Redactor
from supportbot_dagster.tickets.vendor import Vendor

DATA = Path(__file__).parent / "data"
VENDOR = Vendor(
    name="tracklight",
    domains=("tracklight.example",),
    docs_url="https://docs.tracklight.example/",
    emails=frozenset({"support@tracklight.example", "security@tracklight.example"}),
    tools=frozenset({"slack", "github", "jira"}),
)


@pytest.fixture(scope="session")
def vendor() -> Vendor:
    return VENDOR


@pytest.fixture(scope="session")
def redactor() -> Redactor:
    """One redactor for all tests: the engine takes seconds to build."""
    return Redactor(VENDOR)


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA

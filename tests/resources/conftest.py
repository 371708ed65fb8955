"""A store on a folder and on S3, the latter spoken to over HTTP on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from supportbot_dagster.resources.artifact_store import ArtifactStore

BUCKET = "bots"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of its own, which sees what is really in the bucket; the bucket is empty."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    return client


@pytest.fixture(params=["folder", "file-url", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """The same tests run on every kind of root."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        root = f"s3://{BUCKET}/{request.node.name.partition('[')[0]}"
    elif request.param == "file-url":
        root = f"file://{tmp_path / 'root'}"
    else:
        root = str(tmp_path / "root")
    return ArtifactStore(root=root, scratch=str(tmp_path / "scratch"))

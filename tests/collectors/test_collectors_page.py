"""Tests of the example source in `docs/collectors.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from collectors.collect import Collect, parse
from collectors.source import Ambiguous, Request
from segue.checks.check_source import http
from tests.servers.base import NOT_FOUND, ReceivedRequest, Reply, Server

PAGE = (Path(__file__).parents[2] / "docs" / "collectors.md").read_text(encoding="utf-8")


class MoodServer(Server):
    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path != "/search":
            return NOT_FOUND
        songs = [{"title": "Hallelujah", "artist": "Jeff Buckley", "seconds": 413, "mood": [0.1, 0.3]}]
        return Reply({"songs": songs if "hallelujah" in request.query["title"].lower() else []})


def test_source_in_collectors_md_passes_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(code.strip().splitlines()) <= 40
    module = ModuleType("docs_collectors")
    monkeypatch.setitem(sys.modules, "docs_collectors", module)
    exec(compile(code, "collectors.md", "exec"), module.__dict__)
    known = Request("track", "local:1", ("mood",), title="Hallelujah", artists=("Jeff Buckley",), duration_s=414.0)
    unknown = Request("track", "local:2", ("mood",), title="No such song", artists=("Nobody",))
    live = Request(
        "track", "local:3", ("mood",), title="Hallelujah (Live)", artists=("Jeff Buckley",), duration_s=414.0
    )
    with MoodServer() as server:
        answer = module.check_source(module.Moods, {"base_url": server.url}, known=known, unknown=unknown)
        assert answer.values == {"mood": [0.1, 0.3]}
        with http() as client:
            assert isinstance(module.Moods(module.MoodParams(base_url=server.url)).collect(live, client), Ambiguous)


def test_recipe_in_collectors_md_is_valid() -> None:
    from ruamel.yaml import YAML

    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    params = parse(YAML(typ="safe").load(block)["collect"])
    assert isinstance(params, Collect) and [spec.source for spec in params.sources] == ["musicbrainz", "lrclib"]

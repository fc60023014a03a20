"""Tests of the contract checks for sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from collectors.source import Absent, Answer, Found, Host, Http, Request, Trouble
from segue.checks.check_source import check_source
from tests.servers.facts import Facts, FactsParams, FactsServer

KNOWN = Request("track", "local:1", ("words",), title="Title 1")
UNKNOWN = Request("track", "local:9", ("words",), title="Title 9")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with FactsServer() as server:
        yield server.url


def test_correct_source_passes_the_contract(url: str) -> None:
    answer = check_source(Facts, {"base_url": url}, known=KNOWN, unknown=UNKNOWN)
    assert answer.values == {"words": "les mots de local:1, ça va — كلمات 1"}  # type: ignore[union-attr]


class Swallows(Facts):
    """Source that returns absence after a rejected request."""

    def collect(self, request: Request, http: Http) -> Answer:
        try:
            return super().collect(request, http)
        except Trouble:
            return Absent()


class Crashes(Facts):
    """Source that does not check the JSON structure."""

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/words/{request.id}")
        return Absent() if reply.status == 404 else Found({"words": reply.json()["words"]}, 1.0, reply.content)


class Talks(Facts):
    """Source that returns a field that was not requested."""

    def collect(self, request: Request, http: Http) -> Answer:
        answer = super().collect(request, http)
        return Found({"words": "la", "mood": "blue"}, 1.0, b"la") if isinstance(answer, Found) else answer


class Finds(Facts):
    """Source that returns a match for every request."""

    def collect(self, request: Request, http: Http) -> Answer:
        return Found({"words": "la"}, 1.0, b"la")


class Greedy(Facts):
    """Source that sends more requests than declared."""

    def collect(self, request: Request, http: Http) -> Answer:
        super().collect(request, http)
        return super().collect(request, http)


class Leaks(Facts):
    """Source that stores the key in the payload."""

    optional_keys = ("FACTS_KEY",)

    def collect(self, request: Request, http: Http) -> Answer:
        answer = super().collect(request, http)
        return Found(answer.values, 1.0, f"?key={self.secrets['FACTS_KEY']}") if isinstance(answer, Found) else answer


class Plain(Facts):
    """Source that sends the key without encryption."""

    class Params(FactsParams):
        base_url: str = "http://facts.invalid"


class Nowhere(Facts):
    """Source that declares a host without a parameter for the URL."""

    hosts: ClassVar[tuple[Host, ...]] = (Host("url"),)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Swallows, "must be raised, not returned"),
        (Crashes, "must not raise"),
        (Talks, "part of the requested"),
        (Finds, "must return Absent"),
        (Greedy, "2 requests to .* must be at most 1"),
        (Leaks, "must not contain the value of FACTS_KEY"),
        (Plain, "must start with https"),
        (Nowhere, "must be a parameter"),
    ],
)
def test_broken_source_fails_with_the_matching_message(cls: type[Facts], message: str, url: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_source(cls, {"base_url": url}, known=KNOWN, unknown=UNKNOWN, keys={"FACTS_KEY": "sesame-4711"})

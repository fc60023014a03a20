"""The contract's suite: a correct source passes, and each kind of wrong source fails with its own message."""

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


def test_correct_source_passes(url: str) -> None:
    answer = check_source(Facts, {"base_url": url}, known=KNOWN, unknown=UNKNOWN)
    assert answer.values == {"words": "les mots de local:1, ça va — كلمات 1"}  # type: ignore[union-attr]


class Swallows(Facts):
    """Takes a refusal for an absence."""

    def collect(self, request: Request, http: Http) -> Answer:
        try:
            return super().collect(request, http)
        except Trouble:
            return Absent()


class Crashes(Facts):
    """Trusts the form of the JSON."""

    def collect(self, request: Request, http: Http) -> Answer:
        reply = http.get(f"{self.params.base_url}/words/{request.id}")
        return Absent() if reply.status == 404 else Found({"words": reply.json()["words"]}, 1.0, reply.content)


class Talks(Facts):
    """Gives a field that was not requested."""

    def collect(self, request: Request, http: Http) -> Answer:
        answer = super().collect(request, http)
        return Found({"words": "la", "mood": "blue"}, 1.0, b"la") if isinstance(answer, Found) else answer


class Finds(Facts):
    """Finds everything."""

    def collect(self, request: Request, http: Http) -> Answer:
        return Found({"words": "la"}, 1.0, b"la")


class Greedy(Facts):
    """Sends more requests than it declares."""

    def collect(self, request: Request, http: Http) -> Answer:
        super().collect(request, http)
        return super().collect(request, http)


class Leaks(Facts):
    """Puts its key into the payload."""

    optional_keys = ("FACTS_KEY",)

    def collect(self, request: Request, http: Http) -> Answer:
        answer = super().collect(request, http)
        return Found(answer.values, 1.0, f"?key={self.secrets['FACTS_KEY']}") if isinstance(answer, Found) else answer


class Plain(Facts):
    """Sends without encryption."""

    class Params(FactsParams):
        base_url: str = "http://facts.invalid"


class Nowhere(Facts):
    """Declares a host that no parameter holds."""

    hosts: ClassVar[tuple[Host, ...]] = (Host("url"),)


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Swallows, "let it pass"),
        (Crashes, "raises"),
        (Talks, "was requested"),
        (Finds, "not Absent"),
        (Greedy, "2 requests to .* declared 1"),
        (Leaks, "holds the value of FACTS_KEY"),
        (Plain, "must be https"),
        (Nowhere, "must be a parameter"),
    ],
)
def test_wrong_source_fails_with_its_message(cls: type[Facts], message: str, url: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_source(cls, {"base_url": url}, known=KNOWN, unknown=UNKNOWN, keys={"FACTS_KEY": "sesame-4711"})

"""Conformance suite for sources, for authors of plug-ins. The built-in sources pass it too.

    from segue.plugin import Request, check_source

    def test_contract(server):
        check_source(
            MySource,
            {"base_url": server.url},
            known=Request("track", "local:1", ("lyrics",), title="One", artists=("U2",)),
            unknown=Request("track", "local:2", ("lyrics",), title="No such song", artists=("Nobody",)),
        )

The checks are plain asserts. Each message names the violated rule of `collectors.source`.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, get_args

import httpx
import requests
from pydantic import ValidationError

from collectors.engine.host_limits import HostLimit
from collectors.engine.hosts import host_of
from collectors.engine.http_client import Client
from collectors.engine.requests_session import RequestsSession
from collectors.engine.servers import Servers
from collectors.engine.value_checks import check_values
from collectors.source import (
    ID_FIELDS,
    Absent,
    Ambiguous,
    Answer,
    Blocked,
    Entity,
    Found,
    RateLimited,
    Reply,
    Request,
    Source,
    Transient,
    Trouble,
)
from toolkit.errors import SegueError

STRANGE_JSON: tuple[object, ...] = (
    [],
    {},
    None,
    5,
    "text",
    [None],
    {"data": None},
    {"results": [None]},
    {"error": {"message": "no"}},
)
"""Undocumented JSON that hosts have been seen to send."""


def check_source(
    cls: type[Source],
    params: Mapping[str, object] | None = None,
    *,
    known: Request,
    unknown: Request,
    keys: Mapping[str, str] | None = None,
) -> Answer:
    """Check a source against the contract.

    - params: parameters with the base URLs of test servers, or paths of files, that have values only for `known`.
    - known, unknown: requests for an entity with and without values.
    - keys: values of the source's keys.

    Returns the answer to `known`. Raises `AssertionError` at the first violated rule.
    """
    check_declaration(cls)
    check_params(cls)
    source = cls(cls.Params.model_validate(dict(params or {})), keys=keys)
    servers = Servers.of(source.hosts, source.params)
    with tempfile.TemporaryDirectory() as folder, http(servers) as plain, source.opened(Path(folder)):
        answer = check_found(source, known, plain)
        check_absent(source, unknown, plain)
        # by now there are tokens, which do not count as requests for an answer
        check_requests(source, known, plain)
        check_requests(source, unknown, plain)
        check_threads(source, known, answer, plain)
        check_secrets(source, answer)
        if cls.hosts:
            check_troubles(source, known)
            check_strange_json(source, known)
    return answer


def check_declaration(cls: type[Source]) -> None:
    """Check the declarations that the engine, the documentation and `segue library terms` read."""
    name = getattr(cls, "name", "")
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name), (
        f"{cls.__name__}.name={name!r} must consist of lower-case letters, digits and '-'"
    )
    assert getattr(cls, "page", ""), f"{name}: page must not be empty: set the URL of the API's documentation"
    assert cls.__doc__, f"{name}: the class must have a docstring: add a sentence, which `segue list sources` prints"
    assert cls.fields, f"{name}: fields must not be empty: list the fields that the source provides"
    strange = {entity for entity in cls.fields.values() if entity not in get_args(Entity)}
    assert not strange, f"{name}: entities {strange} of fields must be track, album or artist"
    assert cls.terms.licence and cls.terms.page, f"{name}: terms must have a licence and a page: set both"
    for host in cls.hosts:
        default = cls.Params.model_fields[host.url].default if host.url in cls.Params.model_fields else None
        assert isinstance(default, str), (
            f"{name}: the host {host.url!r} must be a parameter with a base URL as its default"
        )
        assert default.startswith("https://"), f"{name}: {host.url}={default!r} must start with https://"
        assert host.concurrency >= 1 and all(rate.requests >= 1 and rate.seconds > 0 for rate in host.rates), (
            f"{name}: {host.url} must have concurrency >= 1 and rates with requests >= 1 and seconds > 0"
        )
    for id_field in (*cls.needs, *cls.uses):
        assert id_field in ID_FIELDS, f"{name}: {id_field!r} must be one of {', '.join(ID_FIELDS)}"
    for key in (*cls.keys, *cls.optional_keys):
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", key), (
            f"{name}: key {key!r} must be an environment variable in upper case"
        )
        assert key.lower() not in cls.Params.model_fields, (
            f"{name}: {key} must not be a parameter, because recipes must not contain API keys: remove the parameter"
        )


def check_params(cls: type[Source]) -> None:
    """Check that an unknown parameter raises an error."""
    try:
        cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params must reject unknown keys: keep extra='forbid' of SourceParams")


def check_found(source: Source, known: Request, plain: Client) -> Answer:
    """Check that a known entity has a score, a payload and repeatable, storable values of requested fields."""
    answer, again = source.collect(known, plain), source.collect(known, plain)
    assert isinstance(answer, Found), f"{source.name}: {known} returned {answer} and must return Found"
    fields, requested = set(answer.values), set(known.fields)
    assert fields and fields <= requested, (
        f"{source.name}: fields {fields} must be a non-empty part of the requested {requested}"
    )
    assert 0 < answer.score <= 1, f"{source.name}: score={answer.score} must be in 0…1"
    assert answer.payload, f"{source.name}: payload must not be empty: set the unchanged response"
    check_values(answer.values)
    assert isinstance(again, Found) and dict(again.values) == dict(answer.values), (
        f"{source.name}: repeated requests must return the same answer"
    )
    return answer


def check_absent(source: Source, unknown: Request, plain: Client) -> None:
    """Check that an unknown entity is reported as absent, without an error or another entity's values."""
    answer = source.collect(unknown, plain)
    assert isinstance(answer, Absent | Ambiguous), f"{source.name}: {unknown} returned {answer} and must return Absent"


def check_requests(source: Source, request: Request, plain: Client) -> None:
    """Check that an answer sends at most the declared number of requests to each host."""
    allowed: Counter[str] = Counter()
    for host in source.hosts:
        allowed[host_of(getattr(source.params, host.url))] += host.most(request.fields)
    assert isinstance(plain, _Counting)
    plain.requests.clear()
    source.collect(request, plain)
    for name, most in allowed.items():
        assert plain.requests[name] <= most, (
            f"{source.name}: {plain.requests[name]} requests to {name} for {request.fields} must be at most {most}"
        )


def check_threads(source: Source, known: Request, answer: Answer, plain: Client) -> None:
    """Check that concurrent threads get the same answer."""
    assert isinstance(answer, Found)
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(lambda _: source.collect(known, plain), range(8)):
            same = isinstance(other, Found) and dict(other.values) == dict(answer.values)
            assert same, f"{source.name}: concurrent threads must get equal answers: use a thread-safe client"


def check_secrets(source: Source, answer: Answer) -> None:
    """Check that the answer contains no API key."""
    for name, secret in source.secrets.items():
        assert secret not in repr(answer), f"{source.name}: the answer must not contain the value of {name}: remove it"


def check_troubles(source: Source, known: Request) -> None:
    """Check that network errors are raised unchanged instead of being reported as absent."""
    for trouble in (RateLimited("too many", retry_after=7.0), Transient("reset"), Blocked("captcha", status=403)):
        try:
            answer = source.collect(known, _Refusing(trouble))
        except Trouble as error:
            assert isinstance(error, type(trouble)), (
                f"{source.name}: {trouble!r} must be raised unchanged, not as {error!r}"
            )
            if isinstance(trouble, RateLimited):
                assert getattr(error, "retry_after", None) == 7.0, (
                    f"{source.name}: retry_after of RateLimited must be kept: raise the same error"
                )
        else:
            raise AssertionError(
                f"{source.name}: {trouble!r} must be raised, not returned as {answer}: remove the except clause"
            )


def check_strange_json(source: Source, known: Request) -> None:
    """Check that unexpected JSON is a `Trouble` or absent, and neither crashes the source nor yields a value."""
    for body in STRANGE_JSON:
        try:
            answer = source.collect(known, _Constant(body))
        except (Trouble, SegueError):
            continue
        except Exception as error:
            raise AssertionError(
                f"{source.name}: JSON {body!r} must not raise {error!r}: check the form, and raise Transient"
            ) from error
        assert not isinstance(answer, Found), (
            f"{source.name}: JSON {body!r} must not return {answer}: check the form, and raise Transient"
        )


@contextmanager
def http(servers: Servers | None = None) -> Iterator[Client]:
    """Yield a client without rate limits for the servers of a source."""
    with tempfile.TemporaryDirectory() as folder:
        stop = threading.Event()
        client = _Counting(
            lambda host: HostLimit(host, (), 8, root=Path(folder), stop=stop),
            "segue-checks (checks@example.org)",
            servers=servers,
        )
        yield client
        client.close()


class _Counting(Client):
    """Client that counts requests by host, without redirects, in `requests`."""

    def __init__(self, limit: Callable[[str], HostLimit], agent: str, *, servers: Servers | None) -> None:
        super().__init__(limit, agent, servers=servers)
        self.requests: Counter[str] = Counter()

    @contextmanager
    def waiting(self, url: str) -> Iterator[None]:
        self.requests[host_of(url)] += 1
        with super().waiting(url):
            yield

    def _redirected(self, request: httpx.Request, location: str, first: str) -> httpx.Request:
        redirected = super()._redirected(request, location, first)
        self.requests[host_of(str(redirected.url))] -= 1
        return redirected


class _Refusing:
    """Implementation of `Http` that always raises the same `Trouble`."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble

    def get(self, *_: object, **__: object) -> NoReturn:
        raise self.trouble

    post = slot = get

    def session(self) -> requests.Session:
        return RequestsSession(self)


class _Constant:
    """Implementation of `Http` that always returns the same JSON."""

    def __init__(self, body: object) -> None:
        self.reply = Reply(
            200,
            requests.compat.json.dumps(body).encode(),
            "https://checks.invalid/",
            {"content-type": "application/json"},
        )

    def get(self, *_: object, **__: object) -> Reply:
        return self.reply

    post = get

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        raise Transient("requests of client libraries are not answered in this check")
        yield

    def session(self) -> requests.Session:
        return RequestsSession(self)

"""The contract of sources as a test suite, for authors of plug-ins. The built-in sources pass it too.

    from segue.plugin import Request, check_source

    def test_contract(server):
        check_source(
            MySource,
            {"base_url": server.url},
            known=Request("track", "local:1", ("lyrics",), title="One", artists=("U2",)),
            unknown=Request("track", "local:2", ("lyrics",), title="No such song", artists=("Nobody",)),
        )

The checks are plain asserts. Each message names the rule of `collectors.source` that is broken.
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
"""Undocumented JSON that hosts nevertheless send."""


def check_source(
    cls: type[Source],
    params: Mapping[str, object] | None = None,
    *,
    known: Request,
    unknown: Request,
    keys: Mapping[str, str] | None = None,
) -> Answer:
    """Check a source against the contract.

    - params: base URLs of servers, or paths of files, that have values for `known` and none for `unknown`.
    - known, unknown: requests.
    - keys: values of the source's keys.

    Returns the answer to `known`. Raises `AssertionError` at the first rule that is broken.
    """
    check_declaration(cls)
    check_params(cls)
    source = cls(cls.Params.model_validate(dict(params or {})), keys=keys)
    with tempfile.TemporaryDirectory() as folder, http() as plain, source.opened(Path(folder)):
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
    """Check the declarations that the engine, the docs and `segue library terms` read."""
    name = getattr(cls, "name", "")
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", name), (
        f"{cls.__name__}.name={name!r} must be of small letters, digits and '-'"
    )
    assert getattr(cls, "page", ""), f"{name}: page must name the API's documentation"
    assert cls.__doc__, f"{name}: must have a docstring that describes it"
    assert cls.fields, f"{name}: fields must have at least one field"
    strange = {entity for entity in cls.fields.values() if entity not in get_args(Entity)}
    assert not strange, f"{name}: fields are of {strange}, not of track, album or artist"
    assert cls.terms.licence and cls.terms.page, (
        f"{name}: terms must name the licence of the content and a page about it"
    )
    for host in cls.hosts:
        default = cls.Params.model_fields[host.url].default if host.url in cls.Params.model_fields else None
        assert isinstance(default, str), (
            f"{name}: the host {host.url!r} must be a parameter with a base URL as its default"
        )
        assert default.startswith("https://"), f"{name}: {host.url}={default!r} must be https"
        assert host.concurrency >= 1 and all(rate.requests >= 1 and rate.seconds > 0 for rate in host.rates), (
            f"{name}: rates of {host.url}"
        )
    for id_field in (*cls.needs, *cls.uses):
        assert id_field in ID_FIELDS, f"{name}: {id_field!r} must be one of {', '.join(ID_FIELDS)}"
    for key in (*cls.keys, *cls.optional_keys):
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", key), f"{name}: key {key!r} must be the name of an environment variable"
        assert key.lower() not in cls.Params.model_fields, (
            f"{name}: {key} must not be a parameter: recipes have no keys"
        )


def check_params(cls: type[Source]) -> None:
    """Check that a misspelt parameter is an error, not a silent default."""
    try:
        cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params accepts an unknown key; keep extra='forbid' of SourceParams")


def check_found(source: Source, known: Request, plain: Client) -> Answer:
    """Check that a known entity is found, twice, with a score, a payload and storable values of requested fields."""
    answer, again = source.collect(known, plain), source.collect(known, plain)
    assert isinstance(answer, Found), f"{source.name}: {known} gave {answer}, not Found"
    fields, requested = set(answer.values), set(known.fields)
    assert fields and fields <= requested, f"{source.name}: gave {fields} where {requested} was requested"
    assert 0 < answer.score <= 1, f"{source.name}: score={answer.score} must be in 0…1"
    assert answer.payload, f"{source.name}: payload must be the answer as it came, for its hash"
    check_values(answer.values)
    assert isinstance(again, Found) and dict(again.values) == dict(answer.values), (
        f"{source.name}: the same request gave another answer"
    )
    return answer


def check_absent(source: Source, unknown: Request, plain: Client) -> None:
    """Check that an unknown entity is absent: it is neither an error nor another entity."""
    answer = source.collect(unknown, plain)
    assert isinstance(answer, Absent | Ambiguous), f"{source.name}: {unknown} gave {answer}, not Absent"


def check_requests(source: Source, request: Request, plain: Client) -> None:
    """Check that an answer takes no more requests to a host than declared, which a dry run counts."""
    allowed: Counter[str] = Counter()
    for host in source.hosts:
        allowed[host_of(getattr(source.params, host.url))] += host.most(request.fields)
    assert isinstance(plain, _Counting)
    plain.requests.clear()
    source.collect(request, plain)
    for name, most in allowed.items():
        assert plain.requests[name] <= most, (
            f"{source.name}: {plain.requests[name]} requests to {name} for {request.fields}, declared {most}"
        )


def check_threads(source: Source, known: Request, answer: Answer, plain: Client) -> None:
    """Check that several threads at once get the same answer."""
    assert isinstance(answer, Found)
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(lambda _: source.collect(known, plain), range(8)):
            same = isinstance(other, Found) and dict(other.values) == dict(answer.values)
            assert same, (
                f"{source.name}: threads get different answers; do they share a client library that is not thread-safe?"
            )


def check_secrets(source: Source, answer: Answer) -> None:
    """Check that no key is in the answer."""
    for name, secret in source.secrets.items():
        assert secret not in repr(answer), f"{source.name}: the answer holds the value of {name}"


def check_troubles(source: Source, known: Request) -> None:
    """Check that troubles pass unchanged: no refusal becomes an absence."""
    for trouble in (RateLimited("too many", retry_after=7.0), Transient("reset"), Blocked("captcha", status=403)):
        try:
            answer = source.collect(known, _Refusing(trouble))
        except Trouble as error:
            assert isinstance(error, type(trouble)), f"{source.name}: {trouble!r} came out as {error!r}"
            if isinstance(trouble, RateLimited):
                assert getattr(error, "retry_after", None) == 7.0, f"{source.name}: Retry-After was lost"
        else:
            raise AssertionError(f"{source.name}: {trouble!r} became {answer}; let it pass")


def check_strange_json(source: Source, known: Request) -> None:
    """Check that JSON of another form is a trouble or an absence, and neither crashes the source nor gives a value."""
    for body in STRANGE_JSON:
        try:
            answer = source.collect(known, _Constant(body))
        except (Trouble, SegueError):
            continue
        except Exception as error:
            raise AssertionError(
                f"{source.name}: the JSON {body!r} raises {error!r}; check its form, raise Transient"
            ) from error
        assert not isinstance(answer, Found), f"{source.name}: found {answer} in the JSON {body!r}"


@contextmanager
def http() -> Iterator[Client]:
    """A client without limits, for loopback servers."""
    with tempfile.TemporaryDirectory() as folder:
        stop = threading.Event()
        client = _Counting(
            lambda host: HostLimit(host, (), 8, root=Path(folder), stop=stop), "segue-checks (checks@example.org)"
        )
        yield client
        client.close()


class _Counting(Client):
    """A client that counts. requests: numbers by host, without redirects."""

    def __init__(self, limit: Callable[[str], HostLimit], agent: str) -> None:
        super().__init__(limit, agent)
        self.requests: Counter[str] = Counter()

    @contextmanager
    def slot(self, url: str) -> Iterator[None]:
        self.requests[host_of(url)] += 1
        with super().slot(url):
            yield

    def _redirected(self, request: httpx.Request, location: str, first: str) -> httpx.Request:
        redirected = super()._redirected(request, location, first)
        self.requests[host_of(str(redirected.url))] -= 1
        return redirected


class _Refusing:
    """An `Http` whose every use raises the same trouble."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble

    def get(self, *_: object, **__: object) -> NoReturn:
        raise self.trouble

    post = slot = get

    def session(self) -> requests.Session:
        return RequestsSession(self)


class _Constant:
    """An `Http` that always answers with the same JSON."""

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
        raise Transient("a request that a client library sends by itself is not answered here")
        yield

    def session(self) -> requests.Session:
        return RequestsSession(self)

"""Tests of the collection engine with loopback servers and real databases."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collectors.engine.answer_store import AnswerStore
from collectors.engine.engine import Engine, Settings
from collectors.engine.ledger import Ledger
from collectors.engine.work_feed import WorkFeed
from collectors.source import Answer, Blocked, Http, Rate, Request, Terms
from tests.servers import faults
from tests.servers.base import Fault, ReceivedRequest, Reply
from tests.servers.facts import SOURCES, Faces, Facts, FactsParams, FactsServer, Ids, Lives, Tags, state
from toolkit.catalogue.store import Catalogue
from toolkit.errors import InputError
from toolkit.progress import Reporter

Run = Callable[..., Any]


def requests_by_target(server: FactsServer) -> Counter[str]:
    return Counter(entry.target for entry in server.log)


class RecordingReporter(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.counts: dict[str, tuple[int, int]] = {}

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __call__(self, done: int, total: int, what: str) -> None:
        self.counts[what.partition(",")[0]] = (done, total)


def test_outcomes_are_counted_and_not_requested_again(run: Run, library: Catalogue) -> None:
    with FactsServer() as server:
        reporter = RecordingReporter()
        done = run((Facts, server.url), (Faces, server.url), (Lives, server.url), reporter=reporter)
        first = requests_by_target(server)
        again = run((Facts, server.url), (Faces, server.url), (Lives, server.url))
        assert requests_by_target(server) == first
    assert done["facts"].counts == {"found": 31, "absent": 4, "ambiguous": 5} and done["facts"].left == 0
    assert (done["faces"].counts, done["lives"].counts) == ({"found": 4}, {"found": 2})
    assert again["facts"].counts == {}
    assert reporter.counts == {"facts words": (40, 40), "faces cover": (4, 4), "lives biography": (2, 2)}
    # an album's cover and an artist's biography are requested once, and reach every track
    assert [first[f"/face/b:{n}"] for n in range(4)] == [1] * 4 and sum(first.values()) == 46
    present, values = library.field_values("biography", ["local:0", "local:39"])
    assert present.all() and list(values) == ["Artist 0 was born in year 1900.", "Artist 1 was born in year 1901."]
    assert library.provenance("words") == [{"field": "words", "source": "facts", "train_allowed": True, "n": 31}]


def test_ambiguous_values_are_stored_separately_from_fields(run: Run, library: Catalogue) -> None:
    with FactsServer() as server:
        run((Facts, server.url))
    present, _ = library.field_values("words", [f"local:{n}" for n in (5, 6, 9)])
    assert present.tolist() == [True, False, False]
    with library.engine.connect() as connection:
        kept = connection.exec_driver_sql(
            "SELECT entity_id, match_score, value FROM collected_apart ORDER BY entity_id"
        ).all()
    assert kept[-1] == ("local:6", 0.6, "les mots de local:6, ça va — كلمات 6") and len(kept) == 5


EVERY = {
    place: fault
    for place, fault in enumerate(
        [
            *(faults.too_many(after) for after in ("0", "0.1", None, "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT")),
            *(faults.status(code) for code in (400, 500, 502, 503)),
            faults.hang,
            faults.reset,
            faults.short,
            faults.truncated,
            faults.wrong_json,
            faults.page,
            faults.captcha,
            faults.forbidden_captcha,
            faults.wrong_type(),
            faults.gzip_bomb(200),
            faults.huge(200),
            faults.expired,
            faults.redirect("ftp://elsewhere.invalid/"),
            faults.redirect("/words/local:0"),
        ]
    )
}


def test_catalogue_after_faults_equals_a_run_without_faults(run: Run, tmp_path: Path) -> None:
    """Inject each kind of fault once, except the redirect to another song."""
    place = tmp_path / "library" / "catalogue.sqlite"
    with FactsServer(faults={number: fault for number, fault in EVERY.items() if number < len(EVERY) - 1}) as server:
        done = run((Facts, server.url))
        assert sum(bool(entry.fault) for entry in server.log) == len(EVERY) - 1
    faulty = state(place)
    with Catalogue.open(place) as library, library.engine.begin() as connection:
        for table in ("collected", "collected_apart", "fields"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    with FactsServer() as server:
        run((Facts, server.url))
    assert state(place) == faulty and done["facts"].counts == {"found": 31, "absent": 4, "ambiguous": 5}


def test_block_pages_stop_the_source_and_count_as_blocked(run: Run, library: Catalogue) -> None:
    """Send twenty block pages in a row, which must stop only the source that receives them."""
    always = lambda number, request: faults.captcha  # noqa: E731
    with FactsServer(faults=always) as walled, FactsServer() as open_:
        reporter = RecordingReporter()
        done = run((Facts, walled.url), (Lives, open_.url), reporter=reporter)
        assert 20 <= len(walled.log) <= 20 + 8  # those under way when it stopped
    assert done["lives"].counts == {"found": 2} and done["facts"].counts == {} and done["facts"].left == 40
    assert [note for note in reporter.notes if "20 times in a row" in note] == reporter.notes
    statuses = {row.status for row in Ledger(library).counts() if row.source == "facts"}
    assert statuses == {"blocked", "pending"}


class Forbidden(Facts):
    """Source that raises `Blocked` permanently."""

    name = "forbidden"

    def collect(self, request: Request, http: Http) -> Answer:
        try:
            return super().collect(request, http)
        except Blocked as error:
            raise Blocked(
                "this app may not read words: use lives instead", status=error.status, for_good=True
            ) from None


def test_permanent_block_stops_the_field_immediately(run: Run) -> None:
    with FactsServer(faults=lambda number, request: faults.status(403)) as server:
        done = run((Forbidden, server.url))
        assert len(server.log) <= 8
    assert done["forbidden"].stopped == "this app may not read words: use lives instead"


@pytest.mark.parametrize("after", ["1000", "99999999999999999999", "Fri, 31 Dec 2150 23:59:59 GMT"])
def test_long_retry_after_stops_the_source_and_is_stored(after: str, run: Run, library: Catalogue) -> None:
    with FactsServer(faults={3: faults.too_many(after)}) as server:
        started = time.monotonic()
        done = run((Facts, server.url))
        many = len(server.log)
        again = run((Facts, server.url))
        assert len(server.log) == many < 12 and time.monotonic() - started < 10
    assert "the host accepts no requests for" in (done["facts"].stopped or "")
    assert "the host accepts no requests for another" in (again["facts"].stopped or "")
    until = (Ledger(library).stored_terms()[0].not_before or 0.0) - time.time()
    assert 900 < until <= 7 * 86_400  # nobody waits for centuries


def test_all_threads_wait_after_a_short_retry_after(run: Run) -> None:
    with FactsServer(faults={0: faults.too_many("1")}) as server:
        done = run((Facts, server.url))
        times = sorted(entry.time for entry in server.log)
    assert done["facts"].counts["found"] == 31
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert max(gaps) > 0.9  # requests already under way are let through, then nobody asks for a second


class Limited(Facts):
    """Source with a limit of twelve requests in any half second."""

    name = "limited"

    def __init__(self, params: FactsParams, **more: object) -> None:
        super().__init__(params, **more)  # type: ignore[arg-type]
        host = type(self).hosts[0]
        self.hosts = (type(host)(host.url, (Rate(12, 0.5),), 4),)  # type: ignore[misc]


def test_request_rate_of_a_host_is_within_the_limit(run: Run, settings: Settings, library: Catalogue) -> None:
    """Check the limit over two sources with the same host and over two consecutive runs."""
    with FactsServer() as server:
        run((Limited, server.url), (Faces, server.url))
        Ledger(library).reopen("limited", ["words"], ["found"])
        run((Limited, server.url), (Faces, server.url))
        assert len(server.log) == 40 + 4 + 31
        assert server.most_in(0.5) <= 12


def test_source_that_requires_ids_waits_for_the_id_source(run: Run, library: Catalogue) -> None:
    with FactsServer() as server:
        alone = run((Tags, server.url))
        assert (alone["tags"].left, len(server.log)) == (40, 0)
        both = run((Tags, server.url), (Ids, server.url))
        assert both["tags"].counts == {"found": 80} and both["ids"].counts == {"found": 40}
        assert sum(entry.target.startswith("/tags/") for entry in server.log) == 40  # both fields in one answer
    assert list(library.field_values("tags", ["local:7"])[1]) == ["loud, n2"]


@pytest.mark.parametrize(("owner", "moment"), [(Ledger, "requests"), (WorkFeed, "_awaited"), (Ledger, "release")])
def test_ids_found_by_a_concurrent_run_are_used(
    owner: type, moment: str, library: Catalogue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a concurrent run store all ids at one of three moments of this run."""
    patient = replace(settings, patience=60.0)

    def engine(*classes: type[Facts]) -> Engine:
        return Engine(library, [(cls(FactsParams(base_url=server.url)), list(cls.fields)) for cls in classes], patient)

    others: list[Any] = []
    real = getattr(owner, moment)

    def meanwhile(self: object, *args: Any, **more: Any) -> Any:
        late = moment != "release"
        known = real(self, *args, **more) if late else None
        if not others:
            others.append(None)
            others.extend(engine(Ids).run())
        return known if late else real(self, *args, **more)

    monkeypatch.setattr(owner, moment, meanwhile)
    with FactsServer() as server:
        started = time.monotonic()
        tags, ids = engine(Tags, Ids).run()
        took = time.monotonic() - started
    assert others[1].counts == {"found": 40} and ids.counts == {}
    assert (tags.counts, tags.left) == ({"found": 80}, 0)
    assert took < 20.0  # half of its patience, had it slept


def test_source_waits_for_an_id_that_is_temporarily_blocked(run: Run) -> None:
    with FactsServer(faults=lambda number, request: faults.captcha if number in range(3, 9) else None) as server:
        done = run((Ids, server.url), (Tags, server.url))
    assert (done["ids"].left, done["tags"].left) == (0, 0)


class Broken(Facts):
    """Source that raises an unexpected exception, with a key in its message, for every entity."""

    name = "broken"

    def collect(self, request: Request, http: Http) -> Answer:
        return {"token": self.secrets["FACTS_KEY"]}[request.id]  # type: ignore[return-value]


class Unusable(Facts):
    """Source that raises `InputError`."""

    name = "unusable"

    def collect(self, request: Request, http: Http) -> Answer:
        raise InputError(f"the key {self.secrets['FACTS_KEY']} is of another account: make one")


def test_exception_in_a_source_fails_the_entity_and_an_input_error_stops_only_this_source(
    run: Run, library: Catalogue
) -> None:
    with FactsServer() as server:
        done = run((Broken, server.url), (Unusable, server.url), (Lives, server.url), keys={"FACTS_KEY": "sesame-4711"})
    assert (done["broken"].counts, done["broken"].left, done["broken"].stopped) == ({"failed": 40}, 0, None)
    with library.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT note, attempts FROM collected WHERE source = 'broken'").all()
    notes = {note for note, _ in kept}
    assert all(
        re.fullmatch(r"the answer cannot be read \(KeyError at test_engine\.py:\d+: 'local:\d+'\)", n) for n in notes
    )
    assert {attempts for _, attempts in kept} == {8}
    assert done["unusable"].stopped == "the key *** is of another account: make one"
    assert done["lives"].counts == {"found": 2}


class Keyed(Facts):
    """Source that sends a key and raises an error with the key in the message."""

    name = "keyed"

    def collect(self, request: Request, http: Http) -> Answer:
        http.get(f"{self.params.base_url}/words/{request.id}", {"key": self.secrets["FACTS_KEY"]})
        raise Blocked(f"GET /?key={self.secrets['FACTS_KEY']}&id=1 was refused")


def test_keys_are_removed_from_files_and_output(
    run: Run, library: Catalogue, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "s3sam/öpen 4711"
    with FactsServer() as server:
        reporter = RecordingReporter()
        done = run((Keyed, server.url), keys={"FACTS_KEY": secret}, reporter=reporter)
        assert all("key=s3sam" in entry.target for entry in server.log)
    library.close()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    output = "".join(reporter.notes) + str(done) + "".join(capfd.readouterr())
    for form in ("s3sam", "4711"):
        assert form not in output and not any(form.encode() in data for data in written)
    assert "***" in output


class Small(Facts):
    """Source whose values may be stored up to 200 bytes and for a day."""

    name = "small"
    terms = Terms(None, "CC0-1.0", "https://facts.invalid/terms", storage_bytes=200, storage_days=1)


def test_storage_terms_limit_value_size_and_age(run: Run, library: Catalogue) -> None:
    with FactsServer() as server:
        done = run((Small, server.url))
    assert "delete unneeded content" in (done["small"].stopped or "")
    ledger = Ledger(library)
    answers = AnswerStore(ledger, [])
    assert 0 < answers.size("small") <= 200
    with ledger.transaction() as connection:
        connection.exec_driver_sql("UPDATE fields SET time = time - 90000")
    kept = done["small"].counts["found"]
    assert answers.expire("small", 1) == kept and answers.size("small") == 0
    assert (
        ledger.left("small", ["words"])
        + done["small"].counts.get("absent", 0)
        + done["small"].counts.get("ambiguous", 0)
        == 40
    )


class Hostile(FactsServer):
    """Server that sends hostile values."""

    def reply(self, request: ReceivedRequest) -> Reply:
        if request.path.startswith("/face/"):
            return Reply(b"../../../../etc/passwd\0", type="image/png")
        strange = Reply(rb'{"words": "\ud800 \u0000 ../../x \u00e9", "score": 1.0}')
        return strange if request.path.endswith(":1") else super().reply(request)


def test_hostile_values_are_rejected_or_cleaned(run: Run, library: Catalogue, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if "library" not in path.parts}
    with Hostile() as server:
        done = run((Facts, server.url), (Faces, server.url))
    assert done["faces"].counts == {"failed": 4}
    assert list(library.field_values("words", ["local:1"])[1]) == ["?  ../../x é"]
    assert {
        path for path in tmp_path.rglob("*") if "library" not in path.parts and "limits" not in path.parts
    } == before


def test_user_agent_has_project_and_contact(run: Run) -> None:
    with FactsServer() as server:
        run((Lives, server.url))
        assert {entry.headers["user-agent"] for entry in server.log} == {
            f"segue/{__import__('toolkit').__version__} (tests@example.org)"
        }


def test_all_sources_collect_together(run: Run) -> None:
    def every_ninth(number: int, request: ReceivedRequest) -> Fault | None:
        return faults.status(500) if number % 9 == 4 else None

    with FactsServer(faults=every_ninth) as server:
        done = run(*((cls, server.url) for cls in SOURCES))
    assert {name: summary.left for name, summary in done.items()} == dict.fromkeys(done, 0)
    assert sum(sum(summary.counts.values()) for summary in done.values()) == 40 + 4 + 2 + 40 + 80

"""Claims of work for lanes, without entities that wait for an id from another source."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import and_, or_, select

from collectors.engine.ledger import LEDGER, Ledger, entries_of
from collectors.engine.outcomes import LONGEST, Claim
from collectors.engine.worker_pool import Lane, WorkerPool
from collectors.source import ID_FIELDS, Entity, Request, Source
from toolkit.catalogue.database_schema import TRACK_ARTISTS, TRACKS

DEFER = 120.0
"""Seconds after which an entity that waits for an id is looked at again; mostly the answer wakes it before."""
LOOK_AGAIN = 2.0
"""Longest time in seconds before the ledger is queried again."""
AWAITS_ID = "waits for an id from another source"
NO_ID = "no id to look it up by"


class WorkFeed:
    """Feed of work for the pools in a run; `patience` is the maximum wait in seconds."""

    def __init__(self, ledger: Ledger, pools: Sequence[WorkerPool], patience: float) -> None:
        self._ledger, self._with_room = ledger, ledger.with_room
        self._pools, self._patience = pools, patience

    def start(self) -> None:
        """Reopen entities that had no id in an earlier run."""
        self._with_room(self._ledger.wake, NO_ID)

    def fill(self, pool: WorkerPool, now: float) -> None:
        """Claim entities for empty lanes and keep the threads of the pool busy; `now` is of `time.monotonic`."""
        if pool.stopped is not None:
            return
        for lane in pool.open_lanes:
            if lane.waiting or now < lane.look_again or lane.due is None:
                continue
            name, batch = pool.source.name, lane.next_batch(now)
            if claims := self._with_room(self._ledger.claim, name, lane.entity, lane.fields, batch):
                self._queue(pool.source, lane, claims)
            else:
                lane.due = self._ledger.next_due(name, lane.fields)
                wait = LOOK_AGAIN if lane.due is None else lane.due - time.time()
                lane.look_again = now + min(max(wait, 0.02), LOOK_AGAIN)
        pool.hand_out()

    def wake_for(self, request: Request) -> None:
        """Make entries that wait for an id of this entity, its album or its artists due now."""
        ids = [request.id, *request.artist_ids, *([request.album_id] if request.album_id else [])]
        for pool in self._pools:
            for lane in pool.lanes if _id_fields_of(pool.source) else ():
                self._wake(pool.source, lane, ids)

    def wake_all(self) -> None:
        """Make all entries that wait for an id due now, because a source of ids has stopped."""
        self._with_room(self._ledger.wake, AWAITS_ID)

    def _wake(self, source: Source, lane: Lane, ids: Sequence[str]) -> None:
        self._with_room(self._ledger.wake, AWAITS_ID, entries_of(source.name, lane.fields, lane.entity, ids))

    def _queue(self, source: Source, lane: Lane, claims: list[Claim]) -> None:
        """Queue requests for claims, and release claims without an id."""
        id_fields = _id_fields_of(source)
        # before the ids themselves are read: an id that another process finds in between counts as found
        expected = self._awaited(source, lane, [claim.id for claim in claims]) if id_fields else set()
        pairs = list(zip(claims, self._ledger.requests(claims), strict=True))
        awaited = {claim.id for claim, request in pairs if not id_fields & set(request.ids)} & expected
        no_id = {claim.id for claim, request in pairs if source.needs and not set(source.needs) & set(request.ids)}
        no_id -= awaited
        lane.waiting.extend((claim, request) for claim, request in pairs if claim.id not in awaited | no_id)
        waits = ((no_id, LONGEST, NO_ID), (awaited, min(DEFER, self._patience / 2), AWAITS_ID))
        for ids, wait, note in waits:
            held = [claim for claim in claims if claim.id in ids]
            self._with_room(self._ledger.release, held, next_try=time.time() + wait, note=note)
        if awaited:
            # another process may have answered, and woken whatever waited, before these were released
            answered = sorted(awaited - self._awaited(source, lane, sorted(awaited)))
            self._wake(source, lane, answered)

    def _awaited(self, source: Source, lane: Lane, ids: Sequence[str]) -> set[str]:
        """Return entities for which this run or another run may still find an id that the source uses."""
        id_fields = _id_fields_of(source)
        providers = [
            (pool.source.name, name)
            for pool in self._pools
            if pool.source is not source and pool.stopped is None
            if id_fields & set(pool.source.fields) & set(ID_FIELDS)
            for open_lane in pool.open_lanes
            for name in open_lane.fields
        ]
        until = time.time() + self._patience
        return _with_open_entries(self._ledger, providers, lane.entity, ids, until) if providers and ids else set()


def _id_fields_of(source: Source) -> set[str]:
    return {*source.needs, *source.uses}


def _with_open_entries(
    ledger: Ledger, providers: Sequence[tuple[str, str]], entity: Entity, ids: Sequence[str], until: float
) -> set[str]:
    """Return entities that have, or whose tracks have, an open entry of a provider of ids.

    - providers: (source, field) pairs that provide ids.
    - until: time in seconds since 1970; entries that are due later do not count.
    """
    provided = or_(*(and_(LEDGER.c.source == source, LEDGER.c.field == name) for source, name in providers))
    due = or_(LEDGER.c.next_try <= until, and_(LEDGER.c.next_try.is_not(None), LEDGER.c.owner.is_not(None)))
    queries = [select(LEDGER.c.entity_id).where(provided, due, LEDGER.c.entity == entity, LEDGER.c.entity_id.in_(ids))]
    of_track = (provided, due, LEDGER.c.entity == "track")
    if entity == "album":
        tracks = select(TRACKS.c.album_id).join(LEDGER, LEDGER.c.entity_id == TRACKS.c.id)
        queries.append(tracks.where(*of_track, TRACKS.c.album_id.in_(ids)))
    elif entity == "artist":
        credits = TRACK_ARTISTS.join(LEDGER, LEDGER.c.entity_id == TRACK_ARTISTS.c.track_id)
        artists = select(TRACK_ARTISTS.c.artist_id).select_from(credits)
        queries.append(artists.where(*of_track, TRACK_ARTISTS.c.artist_id.in_(ids)))
    with ledger.transaction() as connection:
        return {entity_id for query in queries for entity_id in connection.scalars(query.distinct())}

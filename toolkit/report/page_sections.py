"""Texts and numbers for each section of the report page, from the files of a run, without markup."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import TypeVar

from toolkit.progress import duration
from toolkit.recipe.stored_recipe import StoredEvaluation, StoredRecipe
from toolkit.report import claims
from toolkit.report.result_tables import Column, Table
from toolkit.report.run_files import RunFiles
from toolkit.result_types import (
    AttributionRow,
    ComparisonRow,
    Count,
    CoverageRow,
    DataFacts,
    Manifest,
    PairedRow,
    Source,
    Timing,
)

Facts = list[tuple[str, str]]
Paired = TypeVar("Paired", ComparisonRow, AttributionRow)


def column_of(key: str) -> Column:
    """Return the column for a name such as `ndcg@50` in recipes and curves."""
    metric, _, k = key.partition("@")
    return Column(metric, int(k)) if k.isdecimal() else Column(key)


def main_column(table: Table, recipe: StoredRecipe) -> Column | None:
    """Return the main metric of the page.

    It is the `select` of the models, or else the first NDCG, or else the first metric of the recipe.
    """
    selected = [model["select"] for model in recipe.get("models") or [] if model.get("select")]
    by_key = {column.key: column for column in table.columns}
    chosen = [by_key[key] for key in selected if key in by_key]
    for name in ("ndcg", *(recipe.get("evaluation") or {}).get("metrics", ())):
        chosen += [column for column in table.columns if column.metric == name]
    return next(iter([*chosen, *table.columns]), None)


def table_caption(table: Table, what: str) -> str:
    n = f", {table.n:,} playlists" if table.n else ""
    return f"{what}, {table.split} split{n}; 95 % intervals below the values"


def table_note(table: Table) -> str:
    """Return the conventions that a table uses."""
    notes = ["Bold is the best of its column."]
    if any(row.oracle for row in table.rows):
        notes.append(
            "Oracles, below the line, see the hidden tracks: they bound what can be reached and do not compete."
        )
    if any(row.underfit for row in table.rows):
        notes.append("Underfit: validation was still improving when training stopped, so more epochs may raise it.")
    notes += [f"{row.system}, {word}: {reason}." for row in table.rows for word, reason in row.warnings.items()]
    if lower := list(dict.fromkeys(column.info.label for column in table.columns if column.lower_is_better)):
        notes.append(f"Lower is better: {' and '.join(lower)}.")
    return " ".join(notes)


def comparisons(
    rows: Sequence[ComparisonRow], main: Column | None, *, oracles: Set[str] = frozenset()
) -> list[dict[str, object]]:
    """Return tables of differences, starting with the main metric over all tracks.

    All other tables, by slice, are marked as `folded`.
    """
    return [
        {
            "caption": f"Each system less {reference}, {among}",
            "folded": folded,
            "lines": [_difference(row, reference, oracles) for row in lines],
        }
        for folded, reference, among, lines in by_table(rows, main, lambda row: row["reference"])
    ]


def by_table(
    rows: Iterable[Paired], main: Column | None, model: Callable[[Paired], str]
) -> list[tuple[bool, str, str, list[Paired]]]:
    """Return differences by model and slice: whether the table is folded, model, playlists in words, and rows."""
    groups: dict[tuple[bool, str, str], list[Paired]] = {}
    for row in rows:
        part = row.get("slice") or "all"
        groups.setdefault((part != "all" or Column.of(row) != main, model(row), part), []).append(row)
    among = {"all": "", "macro": ", mean over playlists"}
    return [
        (folded, name, f"on the same test playlists{among.get(part, f', {part} tracks')}", lines)
        for (folded, name, part), lines in sorted(groups.items(), key=lambda group: group[0][0])
    ]


def _difference(row: ComparisonRow, reference: str, oracles: Set[str]) -> dict[str, str]:
    column = Column.of(row)
    return {
        "system": f"{row['system']} (oracle)" if row["system"] in oracles else row["system"],
        "metric": column.label,
        "difference": signed(column, row["difference"]),
        "interval": signed(column, row["ci_low"], row["ci_high"]),
        "p": _p(claims.largest_p(row)),
        "detectable": _detectable(column, row),
        "reading": reading(row, reference),
    }


def signed(column: Column, *values: float | None) -> str:
    """Return a signed difference, or a signed interval; a dash if a value is missing."""
    known = [value for value in values if value is not None]
    return " to ".join(column.format(value, sign=True) for value in known) if len(known) == len(values) else "–"


def reading(row: ComparisonRow, reference: str) -> str:
    """Return a phrase that interprets a paired difference by its interval and by every test."""
    low = row["ci_low"]
    if low is None:
        return ""
    better = (low > 0) != Column.of(row).lower_is_better
    return claims.why_not_shown(row) or f"{'better' if better else 'worse'} than {reference}"


def _detectable(column: Column, row: PairedRow) -> str:
    """Return the smallest difference that the playlists of a row can show, in words."""
    least = row.get("detectable")
    if least is None:
        return "cannot show any" if claims.cannot_show(row) else "–"
    return column.format(least)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def comparison_note(rows: Sequence[ComparisonRow], recipe: StoredRecipe) -> str:
    """Return how intervals and p were computed, from the rows and the recipe."""
    words = {"groups": "whole playlists with all their versions"}
    kinds = dict.fromkeys(row["resampled"] for row in rows if row.get("resampled"))
    how = ", ".join(words.get(kind, kind) for kind in kinds)
    times = (recipe.get("evaluation") or {}).get("bootstrap")
    sentences = []
    if any(row.get("test", "bootstrap") == "bootstrap" for row in rows) and how:
        sentences.append(f"Resampled by bootstrap: {how}{f', {times:,} times' if times else ''}.")
    if any(row.get("test", "bootstrap") != "bootstrap" for row in rows):
        sentences.append(
            "Rows with fewer than 20 independent playlists have t intervals, and p is the larger value of the sign-flip"
            " test and the t-test."
        )
    if any("p_holm" in row for row in rows):
        sentences.append(
            "p is the larger value of both tests, corrected for the systems compared (Holm). No difference is shown if"
            " p is .05 or more, or if the interval contains zero."
        )
    else:
        sentences.append(
            "An interval that contains zero shows no difference. p is not corrected for the number of rows."
        )
    return " ".join([*sentences, *_floors(rows)])


def _floors(rows: Sequence[ComparisonRow]) -> list[str]:
    """Return a sentence for each test that has its smallest possible p in some rows."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if claims.at_floor(row):
            found.setdefault(row["test"], []).append(row["p_floor"] or 0.0)
    sentences = []
    for test, floors in found.items():
        count = f"{len(floors)} row{'s' if len(floors) != 1 else ''}"
        name = "bootstrap" if test == "bootstrap" else "sign-flip test"
        cure = "use more test playlists" if test == "sign flips" else "raise evaluation.bootstrap"
        sentences.append(
            f"In {count}, p before correction is the smallest that the {name} can give here"
            f" ({_range(floors, digits=4)}). To allow a smaller p, {cure}."
        )
    return sentences


def _range(values: Sequence[float], *, digits: int = 1) -> str:
    low, high = (f"{value:,.{digits}f}".rstrip("0").rstrip(".") for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def coverage(rows: Iterable[CoverageRow]) -> list[dict[str, object]]:
    """Return a line for each modality: encoder, size, tracks with and without it, and its sources."""
    return [
        {
            "modality": row["modality"],
            "field": row.get("field") if row.get("field") != row["modality"] else None,
            "encoder": _encoder(row),
            "weights": row.get("weights_licence") or "",
            "texts": _texts(row),
            "collapsed": row.get("collapsed") or "",
            "dim": row.get("dim") or "–",
            "percent": f"{100 * float(row.get('coverage') or 0):.1f}",
            "absent": _listed(row.get("absent"), "without"),
            "short": _listed(row.get("short"), "with too short a clip, which ends in silence"),
            "cut_short": _listed(row.get("cut_short"), "with a file cut short on disk"),
            "sources": [_source(source) for source in row.get("sources") or []],
        }
        for row in rows
    ]


def _texts(row: CoverageRow) -> str:
    """Return facts about encoded texts, such as words without a vector and appended terms."""
    facts = []
    if "out_of_vocabulary" in row:
        facts.append(f"{100 * float(row['out_of_vocabulary']):.1f} % of words without a vector")
    if "texts_enriched" in row:
        share, terms = 100 * float(row["texts_enriched"]), float(row.get("terms_per_text") or 0)
        facts.append(f"{share:.1f} % of texts enriched, {terms:.1f} terms a text")
    return "; ".join(facts)


def _listed(tracks: Count | None, what: str) -> str:
    """Return a number of tracks and the first of these tracks."""
    if tracks is None:
        return ""
    more = ", …" if tracks["count"] > len(tracks["examples"]) else ""
    return f"{tracks['count']:,} {what}: {', '.join(tracks['examples'])}{more}"


def _encoder(row: CoverageRow) -> str:
    """Return the name of an encoder, with the targets of a supervised encoder."""
    name, targets = row.get("encoder") or "–", row.get("targets")
    if not targets:
        return name
    what = (
        f"{targets['factors']} factors" if "factors" in targets else f"{targets['labels']} labels of {targets['field']}"
    )
    return f"{name}, on {what} ({targets['tracks']:,} tracks)"


def _source(source: Source) -> dict[str, object]:
    allowed = source.get("train_allowed")
    count = f" ({source['n']:,})" if "n" in source else ""
    licence = f", {source['licence']}" if source.get("licence") else ""
    terms = "training not stated" if allowed is None else "training allowed" if allowed else "training not allowed"
    return {
        "text": f"{source.get('source') or 'no source given'}{licence}{count}",
        "terms": terms,
        "allowed": bool(allowed),
    }


def timings(costs: Mapping[str, Timing], manifest: Manifest) -> dict[str, object]:
    """Return seconds and peak memory of each system. The result is empty without timings."""
    machine: Mapping[str, object] = manifest
    where = ", ".join(
        f"{name} {describe(machine[name])}" for name in ("device", "threads") if machine.get(name) is not None
    )
    lines = [
        {
            "system": system,
            "fit": f"as {entry['training_of']}" if entry.get("training_of") else duration(entry.get("fit_seconds")),
            "evaluate": duration(entry.get("evaluate_seconds")),
            "peak": f"{entry['peak_mb']:,.0f} MB" if entry.get("peak_mb") is not None else "–",
        }
        for system, entry in costs.items()
    ]
    return (
        {"caption": f"Wall clock and peak memory ({where})" if where else "Wall clock and peak memory", "lines": lines}
        if lines
        else {}
    )


def setup(run: RunFiles) -> list[tuple[str, Facts]]:
    """Return facts about data, protocol and machine, as pairs of label and value."""
    data = _facts({name: value for name, value in run.data.items() if name != "skipped"}, group=True)
    source: Mapping[str, object] = run.recipe.get("data") or {}
    reader = [(_title(name), describe(source[name])) for name in ("reader", "filters") if source.get(name)]
    protocol = _facts(_protocol(run.recipe.get("evaluation") or {}))
    if reason := run.manifest.get("allow_label_leak"):
        reader.append(("Label leak allowed", reason))
    machine = _facts(
        {name: value for name, value in run.manifest.items() if name not in ("permission", "allow_label_leak")}
    )
    return [
        (name, facts)
        for name, facts in (("Data", [*data, *reader]), ("Protocol", protocol), ("Machine and versions", machine))
        if facts
    ]


def _protocol(evaluation: StoredEvaluation) -> dict[str, object]:
    """Return the section `evaluation` with the keys of its protocol at the same level."""
    rest, split = {key: value for key, value in evaluation.items() if key != "split"}, evaluation.get("split")
    if not isinstance(split, Mapping) or "type" not in split:
        return {"split": split, **rest}
    return {"protocol": split["type"], **{key: value for key, value in split.items() if key != "type"}, **rest}


def permission(run: RunFiles) -> str:
    """Return the user's permission for training on restricted content, or an empty result."""
    given = run.manifest.get("permission") or (run.recipe.get("data") or {}).get("permission")
    if not isinstance(given, Mapping):
        return ""
    verb = "Allowed" if given.get("allowed") else "Not allowed"
    return f"{verb} by whoever ran this: {given.get('reason') or 'no reason given'}"


def skipped(data: DataFacts) -> dict[str, object]:
    """Return facts about records that the reader skipped or merged, or an empty result."""
    records = data.get("skipped") or 0
    count, examples = (records, []) if isinstance(records, int) else (records["count"], records.get("examples") or [])
    return (
        {"text": f"{count:,} bad record{'s' if count != 1 else ''} left out or merged.", "examples": examples}
        if count
        else {}
    )


def commands(run: RunFiles) -> list[str]:
    """Return commands that reproduce the numbers, compare the runs and continue a playlist."""
    names = run.names or (run.name,)
    lines = [f"segue reproduce {shlex.quote(name)}" for name in run.folds or names]
    if len(names) == 2:
        lines.append(f"segue compare {' '.join(map(shlex.quote, names))}")
    seeds = [track["id"] for example in run.examples[:1] for track in example.get("seeds") or []][:3]
    if seeds:
        lines.append(f"segue continue {shlex.quote(run.name)} --tracks {shlex.quote(','.join(seeds))}")
    return lines


def _facts(values: Mapping[str, object], *, group: bool = False) -> Facts:
    return [
        (_title(name), describe(value, group=group))
        for name, value in values.items()
        if value not in (None, {}, [], "")
    ]


def _title(name: object) -> str:
    """Return a title for a key, such as `Git commit` for `git_commit`. A single letter is unchanged."""
    words = str(name).replace("_", " ")
    return words if len(words) < 2 else words[0].upper() + words[1:]


def describe(value: object, *, group: bool = False) -> str:
    """Return a value in words. `group` adds thousands separators to large numbers."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{str(name).replace('_', ' ')} {describe(part, group=group)}"
            for name, part in value.items()
            if part is not None
        )
    if isinstance(value, list | tuple):
        return ", ".join(describe(part, group=group) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if group and isinstance(value, int) else str(value)

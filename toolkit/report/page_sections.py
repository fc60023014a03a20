"""What each section of the page says, worked out of a run's files: words and numbers, no markup."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from toolkit.report.result_tables import Column, Table
from toolkit.report.run_files import RunFiles

Facts = list[tuple[str, str]]


def column_of(key: str) -> Column:
    """The column that recipes and curves write as `ndcg@50`."""
    metric, _, k = key.partition("@")
    return Column(metric, int(k)) if k.isdecimal() else Column(key)


def main_column(table: Table, recipe: Mapping[str, Any]) -> Column | None:
    """The metric that the page leads with: what models were selected by, else the first NDCG, else the first column."""
    wanted = [
        model["select"] for model in recipe.get("models") or [] if isinstance(model, Mapping) and model.get("select")
    ]
    by_key = {column.key: column for column in table.columns}
    chosen = [by_key[key] for key in wanted if key in by_key] + [
        column for column in table.columns if column.metric == "ndcg"
    ]
    return next(iter([*chosen, *table.columns]), None)


def table_caption(table: Table, what: str) -> str:
    n = f", {table.n:,} playlists" if table.n else ""
    return f"{what}, {table.split} split{n}; 95 % intervals below the values"


def table_note(table: Table) -> str:
    """The conventions that this table makes use of."""
    notes = ["Bold is the best of its column."]
    if any(row.oracle for row in table.rows):
        notes.append(
            "Oracles, below the line, see the hidden tracks: they bound what can be reached and do not compete."
        )
    if any(row.underfit for row in table.rows):
        notes.append("Underfit: validation was still improving when training stopped, so more epochs may raise it.")
    if lower := list(dict.fromkeys(column.info.label for column in table.columns if column.lower_is_better)):
        notes.append(f"Lower is better: {' and '.join(lower)}.")
    return " ".join(notes)


def comparisons(
    rows: Sequence[Mapping[str, Any]], main: Column | None, *, oracles: Set[str] = frozenset()
) -> list[dict[str, Any]]:
    """Differences as tables: the main metric over all tracks first, then (`folded`) the rest of it, by slice."""
    groups: dict[tuple[bool, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        part = row.get("slice") or "all"
        groups.setdefault((part != "all" or Column.of(row) != main, row["reference"], part), []).append(row)
    return [
        {
            "caption": _comparison_caption(reference, part),
            "folded": folded,
            "lines": [_difference(row, reference, oracles) for row in lines],
        }
        for (folded, reference, part), lines in sorted(groups.items(), key=lambda group: group[0][0])
    ]


def _comparison_caption(reference: str, part: str) -> str:
    among = {"all": "", "macro": ", mean over playlists"}.get(part, f", {part} tracks")
    return f"Each system less {reference}, on the same test playlists{among}"


def _difference(row: Mapping[str, Any], reference: str, oracles: Set[str]) -> dict[str, str]:
    column, difference = Column.of(row), row.get("difference")
    interval = (row.get("ci_low"), row.get("ci_high"))
    return {
        "system": f"{row['system']} (oracle)" if row["system"] in oracles else row["system"],
        "metric": column.label,
        "difference": "–" if difference is None else column.format(difference, sign=True),
        "interval": "–"
        if None in interval
        else " to ".join(column.format(end, sign=True) for end in interval if end is not None),
        "p": _p(row.get("p_holm", row.get("p"))),
        "reading": reading(row, reference),
    }


LEVEL = 0.05


def reading(row: Mapping[str, Any], reference: str) -> str:
    """What a paired difference shows, by its interval and, where it was tested with others, by its corrected p."""
    column, low, high = Column.of(row), row.get("ci_low"), row.get("ci_high")
    if low is None or high is None:
        return ""
    if low <= 0 <= high:
        return "no difference shown"
    if (row.get("p_holm") or 0.0) >= LEVEL:
        return "no difference shown once corrected"
    return f"{'better' if (low > 0) != column.lower_is_better else 'worse'} than {reference}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def comparison_note(rows: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any]) -> str:
    """How the intervals were made, as the rows and the recipe say."""
    words = {"groups": "whole playlists with all their versions"}
    how = ", ".join(
        dict.fromkeys(words.get(row["resampled"], row["resampled"]) for row in rows if row.get("resampled"))
    )
    times = (recipe.get("evaluation") or {}).get("bootstrap")
    bootstrap = f"Resampled by bootstrap: {how}{f', {times:,} times' if times else ''}. " if how else ""
    if any("p_holm" in row for row in rows):
        none = "from .05 on, and where the interval holds zero, no difference is shown"
        return f"{bootstrap}p is corrected for the systems compared (Holm): {none}."
    return f"{bootstrap}An interval that holds zero shows no difference; p is not corrected for the number of rows."


def coverage(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "modality": row["modality"],
            "field": row.get("field") if row.get("field") != row["modality"] else None,
            "encoder": _encoder(row),
            "weights": row.get("weights_licence") or "",
            "texts": _texts(row),
            "dim": row.get("dim") or "–",
            "percent": f"{100 * float(row.get('coverage') or 0):.1f}",
            "absent": _listed(row.get("absent"), "without"),
            "short": _listed(row.get("short"), "with too short a clip, which ends in silence"),
            "sources": [_source(source) for source in row.get("sources") or []],
        }
        for row in rows
    ]


def _texts(row: Mapping[str, Any]) -> str:
    """What an encoder of texts found in them: words it has no vector for, terms that were appended."""
    told = []
    if "out_of_vocabulary" in row:
        told.append(f"{100 * float(row['out_of_vocabulary']):.1f} % of words without a vector")
    if "texts_enriched" in row:
        share, terms = 100 * float(row["texts_enriched"]), float(row.get("terms_per_text") or 0)
        told.append(f"{share:.1f} % of texts enriched, {terms:.1f} terms a text")
    return "; ".join(told)


def _listed(found: Mapping[str, Any] | None, what: str) -> str:
    """How many tracks something is true of, and some of them."""
    if not found:
        return ""
    return f"{found['count']:,} {what}: {', '.join(found['examples'])}{', …' if found['count'] > len(found['examples']) else ''}"


def _encoder(row: Mapping[str, Any]) -> str:
    """Its name, and for a supervised one what it learned."""
    name, targets = row.get("encoder") or "–", row.get("targets")
    if not targets:
        return name
    what = (
        f"{targets['factors']} factors" if "factors" in targets else f"{targets['labels']} labels of {targets['field']}"
    )
    return f"{name}, on {what} ({targets['tracks']:,} tracks)"


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    allowed = source.get("train_allowed")
    count = f" ({source['n']:,})" if isinstance(source.get("n"), int) else ""
    licence = f", {source['licence']}" if source.get("licence") else ""
    terms = "training not stated" if allowed is None else "training allowed" if allowed else "training not allowed"
    return {
        "text": f"{source.get('source') or 'no source given'}{licence}{count}",
        "terms": terms,
        "allowed": bool(allowed),
    }


def timings(found: Mapping[str, Mapping[str, Any]], manifest: Mapping[str, Any]) -> dict[str, Any]:
    where = ", ".join(
        f"{name} {describe(manifest[name])}" for name in ("device", "threads") if manifest.get(name) is not None
    )
    lines = [
        {
            "system": system,
            "fit": f"as {entry['training_of']}" if entry.get("training_of") else duration(entry.get("fit_seconds")),
            "evaluate": duration(entry.get("evaluate_seconds")),
            "peak": f"{entry['peak_mb']:,.0f} MB" if entry.get("peak_mb") is not None else "–",
        }
        for system, entry in found.items()
    ]
    return (
        {"caption": f"Wall clock and peak memory ({where})" if where else "Wall clock and peak memory", "lines": lines}
        if lines
        else {}
    )


def duration(seconds: float | None) -> str:
    """`< 0.01 s`, `0.42 s`, `8.1 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return "< 0.01 s"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )


def setup(run: RunFiles) -> list[tuple[str, Facts]]:
    """Data, protocol and machine, each as label and value."""
    data = _facts({name: value for name, value in run.data.items() if name != "skipped"}, group=True)
    source = run.recipe.get("data") or {}
    reader = [(_title(name), describe(source[name])) for name in ("reader", "filters") if source.get(name)]
    protocol = _facts(_protocol(run.recipe.get("evaluation") or {}))
    machine = _facts({name: value for name, value in run.manifest.items() if name != "permission"})
    return [
        (name, facts)
        for name, facts in (("Data", [*data, *reader]), ("Protocol", protocol), ("Machine and versions", machine))
        if facts
    ]


def _protocol(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The section `evaluation` with the keys of its protocol among its own."""
    rest, split = {key: value for key, value in evaluation.items() if key != "split"}, evaluation.get("split")
    if not isinstance(split, Mapping) or "type" not in split:
        return {"split": split, **rest}
    return {"protocol": split["type"], **{key: value for key, value in split.items() if key != "type"}, **rest}


def permission(run: RunFiles) -> str:
    """The user's word, where the run trained on content that does not itself allow it."""
    found = run.manifest.get("permission") or (run.recipe.get("data") or {}).get("permission")
    if not isinstance(found, Mapping):
        return ""
    return f"{'Allowed' if found.get('allowed') else 'Not allowed'} by whoever ran this: {found.get('reason') or 'no reason given'}"


def skipped(data: Mapping[str, Any]) -> dict[str, Any]:
    """Bad records that the reader left out, or merged with what came before; empty where there were none."""
    found = data.get("skipped") or {}
    count, examples = (found, []) if isinstance(found, int) else (found.get("count", 0), found.get("examples") or [])
    return (
        {"text": f"{count:,} bad record{'s' if count != 1 else ''} left out or merged.", "examples": examples}
        if count
        else {}
    )


def commands(run: RunFiles) -> list[str]:
    """What to type to get the same numbers, and to use the result."""
    names = run.names or (run.name,)
    lines = [f"segue reproduce {shlex.quote(name)}" for name in run.folds or names]
    if len(names) == 2:
        lines.append(f"segue compare {' '.join(map(shlex.quote, names))}")
    seeds = [track["id"] for example in run.examples[:1] for track in example.get("seeds") or []][:3]
    if seeds:
        lines.append(f"segue continue {shlex.quote(run.name)} --tracks {shlex.quote(','.join(seeds))}")
    return lines


def _facts(found: Mapping[str, Any], *, group: bool = False) -> Facts:
    kept = {name: value for name, value in found.items() if value not in (None, {}, [], "")}
    return [(_title(name), describe(value, group=group)) for name, value in kept.items()]


def _title(name: object) -> str:
    """`git_commit` as `Git commit`; a single letter stays as it is."""
    words = str(name).replace("_", " ")
    return words if len(words) < 2 else words[0].upper() + words[1:]


def describe(value: Any, *, group: bool = False) -> str:
    """A value in words; `group` puts commas into large numbers."""
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

"""Tests of the report page of a run, with escaping and missing files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.report.run_files import RECIPE, files, metric_row, write_run
from toolkit.errors import RunDirectoryError
from toolkit.report.page import SECTIONS, render

VOID = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """HTML parser that records tags, attributes and text by section, and checks nesting."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {"": ""}
        self.open: list[str] = []
        self.here = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "h2":
            self.here = found["id"] or ""
            self.sections[self.here] = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.sections[self.here] += f" {data}"

    def text(self, section: str) -> str:
        return " ".join(self.sections[section].split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(run_dir: Path) -> Reader:
    return Reader(render(run_dir).read_text(encoding="utf-8"))


def rendered(root: Path, recipe: str = RECIPE, **changed: Any) -> Reader:
    """Return the page of a run with some files changed or, by `name__json=None`, left out."""
    found = files() | {name.replace("__", "."): value for name, value in changed.items()}
    return page(write_run(root / "run", {name: value for name, value in found.items() if value is not None}, recipe))


def test_render_writes_report_html(run_dir: Path) -> None:
    assert render(run_dir) == run_dir / "report.html"


def test_rendering_twice_gives_identical_bytes(run_dir: Path) -> None:
    assert render(run_dir).read_bytes() == render(run_dir).read_bytes()


def test_page_has_and_links_every_section(run_dir: Path) -> None:
    found = page(run_dir)
    assert [name for name in found.sections if name] == [id for id, _ in SECTIONS]
    assert [link["href"] for link in found.all("a")] == [f"#{id}" for id, _ in SECTIONS]
    assert found.open == []


def test_summary_has_test_metrics_of_the_best_system_on_validation(run_dir: Path) -> None:
    assert (
        "7 systems continued 412 held-out playlists (3,000 tracks, 4,120 playlists in all). "
        "Chosen on validation, bert4rec-multimodal reaches NDCG@50 0.1604 (95 % interval 0.1524–0.1694) "
        "on the test playlists."
    ) in page(run_dir).text("")


def test_summary_without_validation_says_so(tmp_path: Path) -> None:
    rows = [metric_row("a", 0.1), metric_row("b", 0.3), metric_row("bound", 0.9)]
    found = rendered(tmp_path, metrics__json=rows, timings__json={"bound": {"oracle": True}})
    assert (
        "no validation numbers to choose by; the highest test NDCG@50 is 0.3000 (95 % interval 0.2920–0.3090), by b."
        in found.text("")
    )


def test_result_table_marks_oracle_underfit_and_best(run_dir: Path) -> None:
    results = page(run_dir).text("results")
    assert "upper-bound oracle 0.8448" in results
    assert "bert4rec-ids underfit 0.1396" in results
    best = re.findall(r'<td class="best">([\d.]+)', (run_dir / "report.html").read_text())
    assert best[:4] == ["0.1675", "0.2094", "0.1289", "0.1611"]


def test_page_has_cold_warm_and_macro_metrics(run_dir: Path) -> None:
    found = page(run_dir)
    assert "Hidden cold tracks, test split, 130 playlists" in found.text("cold")
    assert "sasrec-multimodal audio, lyrics, cover 0.0644" in found.text("cold")
    assert "sasrec-multimodal audio, lyrics, cover 0.1772" in found.text("cold")
    assert "test split, 301 playlists" in found.text("macro")


def test_differences_have_readings(run_dir: Path) -> None:
    text = page(run_dir).text("comparisons")
    assert "sasrec-ids NDCG@50 −0.0223 −0.0301 to −0.0145 < 0.001 – worse than sasrec-multimodal" in text
    assert "bert4rec-multimodal NDCG@50 −0.0007 −0.0060 to +0.0049 0.810 – no difference shown" in text
    assert "upper-bound (oracle) NDCG@50 +0.6512" in text
    assert "Resampled by bootstrap: playlists, 1,000 times." in text
    shown, folded = text.split("Other metrics and slices")
    assert ("NDCG@20" in shown, "NDCG@20" in folded, "cold tracks" in folded) == (False, True, True)


def test_fewer_clicks_are_reported_as_better(tmp_path: Path) -> None:
    row = {
        "system": "b",
        "reference": "a",
        "slice": "all",
        "metric": "clicks",
        "k": None,
        "difference": -1.5,
        "ci_low": -2,
        "ci_high": -1,
    }
    assert "Clicks −1.50 −2.00 to −1.00 – – better than a" in rendered(tmp_path, comparisons__json=[row]).text(
        "comparisons"
    )


def test_difference_without_interval_has_no_reading(tmp_path: Path) -> None:
    row = {
        "system": "b",
        "reference": "a",
        "slice": "all",
        "metric": "ndcg",
        "k": 50,
        "difference": None,
        "ci_low": None,
        "ci_high": None,
    }
    assert "b NDCG@50 – – – – An interval" in rendered(tmp_path, comparisons__json=[row]).text("comparisons")


def test_examples_show_seeds_hidden_and_hits(run_dir: Path) -> None:
    text = page(run_dir).text("examples")
    assert "sasrec-multimodal 1 of 2 hit Blå timme · Åsa Ek ✓ hit Harbour · Low Tide" in text
    assert "popularity 0 of 2 hit" in text
    assert "أغاني المساء" in text and "שיר ערב" in text and "夜の歌" in text
    assert "demo:2" in text  # the playlist without a title


def test_modalities_have_source_and_terms(run_dir: Path) -> None:
    text = page(run_dir).text("modalities")
    assert "audio audio_features 93.4 % features-vae 32 demo (2,800) training allowed" in text
    assert "lrclib.net (212) training not stated" in text


def test_validation_curve_shows_the_selection_metric(run_dir: Path) -> None:
    figures = [svg["aria-label"] or "" for svg in page(run_dir).all("svg") if svg.get("role") == "img"]
    curves = ["Training loss by epoch", "Validation NDCG@50 by epoch"]
    trend = "NDCG@50 by popularity of hidden tracks, from left to right"
    maps = ["Map of 3 tracks by cnn", "Map of 3 tracks by sasrec-multimodal"]
    assert [label.partition(":")[0] for label in figures] == ["NDCG@50 by system", trend, *maps, *curves]


def test_page_shows_the_log_rank_of_trainings_with_few_hits(run_dir: Path) -> None:
    path = run_dir / "curves.json"
    curves = json.loads(path.read_text())
    for at, row in enumerate(curves["sasrec-ids"]):
        row |= {"hits": 3, "log_rank": 8 - 0.1 * at}
    path.write_text(json.dumps(curves))
    figures = [svg["aria-label"] or "" for svg in page(run_dir).all("svg") if svg.get("role") == "img"]
    expected = f"Mean log rank, lower is better by epoch: sasrec-ids ends at {curves['sasrec-ids'][-1]['log_rank']:.4g}"
    assert figures[-2].startswith("Validation NDCG@50 by epoch")
    assert figures[-1] == expected


def test_page_has_costs_and_setup(run_dir: Path) -> None:
    found = page(run_dir)
    assert "(device cpu, threads 2) System Fit Evaluate Peak memory popularity 0.31 s 4.2 s 1,450 MB" in found.text(
        "cost"
    )
    setup = found.text("setup")
    assert "Training permission. Allowed by whoever ran this: tests and benchmarks only" in setup
    assert "Placements 123,456 Split train 3,502, valid 206, test 412" in setup
    assert "Protocol playlist_disjoint Shown 0.7 k 20, 50" in setup
    assert "segue 0.1.0, python 3.11.7, torch 2.13.0" in setup
    assert "2 bad records left out" in setup and "demo.csv:17: no track id" in setup
    assert "select: ndcg@50" in setup


def test_page_has_commands_to_reproduce_and_continue(run_dir: Path) -> None:
    text = page(run_dir).text("again")
    assert "segue reproduce demo-run segue continue demo-run --tracks local:1,local:2,local:3" in text


def test_commands_quote_a_folder_with_spaces(tmp_path: Path) -> None:
    found = page(write_run(tmp_path / "my run; rm x", files()))
    assert "segue reproduce 'my run; rm x'" in found.text("again")


def test_page_is_self_contained(run_dir: Path) -> None:
    found = page(run_dir)
    assert {tag for tag, _ in found.tags} & {"link", "iframe", "object"} == set()
    addresses = [
        value or ""
        for _, attributes in found.tags
        for name, value in attributes.items()
        if name in {"src", "href", "xlink:href"}
    ]
    assert [address for address in addresses if not address.startswith(("#", "data:image/png;base64,"))] == []
    assert "url(http" not in (run_dir / "report.html").read_text()
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    (script,) = re.findall(r"<script>(.*?)</script>", (run_dir / "report.html").read_text(), flags=re.DOTALL)
    mark = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{mark}'"


def test_page_without_a_map_has_no_script(tmp_path: Path) -> None:
    found = rendered(tmp_path, map__json=None, factor_map__json=None)
    policy = next(meta["content"] for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert found.all("script") == [] and policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_pictures_are_embedded_with_alternative_text(run_dir: Path) -> None:
    (picture,) = page(run_dir).all("img")
    assert (
        base64.b64decode((picture["src"] or "").partition(",")[2]) == (run_dir / "pictures" / "cover.png").read_bytes()
    )
    assert picture["alt"] == "Pairs of pictures: an input of the cover encoder and its reconstruction"


def test_table_headers_have_a_scope_and_figures_a_label(run_dir: Path) -> None:
    found = page(run_dir)
    assert {header.get("scope") for header in found.all("th")} == {"col", "row"}
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in found.all("svg"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {region["aria-labelledby"] for region in found.all("table")} <= set(ids)


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}'


def test_text_from_data_is_escaped_in_the_page(tmp_path: Path) -> None:
    found = json.loads(
        json.dumps(files())
        .replace("sasrec-multimodal", "HOSTILE")
        .replace("Late evening", "HOSTILE")
        .replace("Harbour", "HOSTILE")
    )
    text = (
        json.dumps(found)
        .replace("demo.csv:17", "HOSTILE")
        .replace("lrclib.net", "HOSTILE")
        .replace("HOSTILE", HOSTILE.replace('"', '\\"'))
    )
    recipe = RECIPE.replace("Demo catalogue, five modalities", f"'{HOSTILE}'").replace(
        "tests and benchmarks only", f"'{HOSTILE}'"
    )
    reader = page(write_run(tmp_path / "run", json.loads(text), recipe))
    assert reader.all("script") == [{}] and reader.all("img") == []  # the map's own
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    for section in ("", "results", "comparisons", "map", "examples", "training", "modalities", "cost", "setup"):
        assert HOSTILE in reader.text(section), section


@pytest.mark.parametrize("empty", [False, True])
def test_page_needs_only_recipe_and_metrics(tmp_path: Path, empty: bool) -> None:
    other = {name: type(value)() for name, value in files().items()} if empty else {}
    found = page(
        write_run(tmp_path / "run", other | {"metrics.json": [metric_row("only", 0.25)]}, "data: {reader: demo}\n")
    )
    assert [name for name in found.sections if name] == ["results", "setup", "again"]
    assert "only 0.2500 0.2420–0.2590" in found.text("results")
    assert found.open == []


@pytest.mark.parametrize("name", [name for name in files() if name != "metrics.json"])
def test_page_renders_with_any_single_file_missing(tmp_path: Path, name: str) -> None:
    found = rendered(tmp_path, **{name.replace(".", "__"): None})
    assert "results" in found.sections and found.open == []


def test_page_renders_without_metric_rows(tmp_path: Path) -> None:
    found = page(write_run(tmp_path / "run", {"metrics.json": []}))
    assert "0 systems continued held-out playlists. No test numbers were written." in found.text("")
    assert "results" not in found.sections


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", None, "metrics.json does not exist: run the recipe to completion first"),
        ("recipe.yaml", None, "demo-run is not a run directory (recipe.yaml is missing): create a run"),
        (
            "metrics.json",
            '[{"system": "a"}]',
            "metrics.json is damaged (Object missing required field `modalities` - at `$[0]`): delete the file and run",
        ),
        (
            "metrics.json",
            "[1]",
            "metrics.json is damaged (Expected `object`, got `int` - at `$[0]`): delete the file and run",
        ),
        ("map.json", '{"points": [], "among": 3}', "map.json is damaged ('vectors' is missing): delete the file"),
        ("map.json", '{"points": [], "vectors": "audio"}', "map.json is damaged ('among' is missing): delete the file"),
        ("factor_map.json", '{"similar": [], "ends": []}', "factor_map.json is damaged ('map' is missing): delete"),
        ("timings.json", "[]", "timings.json is damaged (Expected `object`, got `array`): delete the file"),
        ("curves.json", '{"a": [', "curves.json is damaged (Expecting value: line 1 column 8 (char 7)): delete"),
        (
            "comparisons.json",
            "[1]",
            "comparisons.json is damaged (Expected `object`, got `int` - at `$[0]`): delete the file",
        ),
        ("recipe.yaml", "a: [", "recipe.yaml is damaged (while parsing a flow node"),
        ("recipe.yaml", "- a", "recipe.yaml is damaged (Expected `object`, got `array`): restore the file, or run"),
        ("pictures/cover.png", "not a picture", "pictures/cover.png is not a PNG"),
    ],
)
def test_damaged_run_file_error_is_one_line(run_dir: Path, name: str, content: str | None, message: str) -> None:
    path = run_dir / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunDirectoryError) as error:
        render(run_dir)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (run_dir / "report.html").exists()


def test_slice_of_all_hidden_tracks_is_not_repeated(tmp_path: Path):
    """Under `item_cold` every hidden track is cold, and the table of cold tracks is the first table."""
    rows = [row for row in files()["metrics.json"] if row["slice"] == "all"]
    only_cold = [*rows, *({**row, "slice": "cold"} for row in rows)]
    page = render(write_run(tmp_path / "run", files() | {"metrics.json": only_cold})).read_text()
    assert "Played and never-played tracks" not in page
    mixed = [*rows, *({**row, "slice": "cold", "value": 0.5} for row in rows)]
    page = render(write_run(tmp_path / "mixed", files() | {"metrics.json": mixed})).read_text()
    assert "Played and never-played tracks" in page


def test_page_without_ndcg_heads_with_the_first_metric_of_the_recipe(tmp_path: Path):
    rows = [
        metric_row(system, value, metric=metric, k=k)
        for system, value in (("a", 0.2), ("b", 0.1))
        for metric, k in (("auc", 0), ("map", 500))
    ]
    recipe = "name: paper\ndata: {reader: demo}\nevaluation: {metrics: [map, auc], k: [500]}\n"
    page = render(write_run(tmp_path / "run", {"metrics.json": rows}, recipe)).read_text()
    assert "MAP@500, 95 % interval" in page or "MAP@500 by system" in page

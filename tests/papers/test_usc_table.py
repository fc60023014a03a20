"""Tests of the recipes of the multimodal BERT4Rec report (USC) against its printed tables, typed from the report."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from toolkit import pipeline, run_directory
from toolkit.constants import AUDIO_FEATURES
from toolkit.encoders.contract.registry import create
from toolkit.fusion.modality_blocks import prepared_blocks
from toolkit.modality import Modality
from toolkit.recipe import Fusion, ModelSpec, Recipe, load
from toolkit.sequential import build_network

ROOT = Path(__file__).parents[2]
PRINTED = ROOT / "benchmarks" / "printed"
TABLES = {"Table 6": "modalities_frozen.yaml", "Table 7": "modalities_learned.yaml", "7.3": "modalities_learned.yaml"}
KINDS = {"audio": "audio", "lyrics": "lyrics", "art": "album", "biography": "artist"}
WEIGHTS = {"word-vectors": 300, "all-mpnet-base-v2": 768, "all-MiniLM-L6-v2": 384}
"""Numbers of a vector in section 4.2."""
TRACKS = 400


def printed(name: str) -> list[dict[str, str]]:
    with (PRINTED / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = printed("usc_rows.csv")


def recipe(name: str, *overrides: str) -> Recipe:
    return load(ROOT / "recipes" / "papers" / name, overrides, parameters=True)


@pytest.fixture(scope="module")
def recipes() -> dict[str, Recipe]:
    return {name: recipe(name) for name in set(TABLES.values())}


def encoded_width(spec: Any) -> int:
    """Return the number of columns that an encoder returns, without its weights."""
    if spec.encoder == "word-vectors":
        return WEIGHTS["word-vectors"]
    if spec.encoder == "sentence-bert":
        return WEIGHTS[spec.params.get("model", "all-MiniLM-L6-v2")]
    return create(spec.encoder, spec.params, device="cpu").dim


def content(resolved: Recipe, model: ModelSpec) -> dict[str, Modality]:
    """Return random vectors of the modalities of an entry, as wide as their encoders make them."""
    generator = np.random.default_rng(0)
    present = np.arange(TRACKS + 1) > 0
    return {
        name: Modality(
            name,
            generator.normal(size=(TRACKS + 1, encoded_width(resolved.encoders[name]))).astype(np.float32),
            present,
        )
        for name in model.inputs(resolved.fusion, resolved.encoders)
    }


def case(row: dict[str, str]) -> str:
    return f"{row['table']}-{row['entry']}"


def test_printed_tables_have_9_and_32_rows() -> None:
    counts = [sum(row["table"] == table for row in ROWS) for table in TABLES]
    assert counts == [9, 32, 3]
    twice = [row["entry"] for row in ROWS if row["table"] == "Table 7"]
    assert sorted({name for name in twice if twice.count(name) > 1}) == ["art-vae", "lyrics-mpnet"]


@pytest.mark.parametrize("name", ["modalities_frozen.yaml", "modalities_learned.yaml"])
def test_entries_of_a_recipe_are_the_printed_rows_in_order(name: str, recipes: dict[str, Recipe]) -> None:
    rows = list(dict.fromkeys(row["entry"] for row in ROWS if TABLES[row["table"]] == name))
    assert [model.name for model in recipes[name].models] == rows
    assert all(row["recipe"] == TABLES[row["table"]] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=case)
def test_entry_has_the_settings_of_its_printed_row(row: dict[str, str], recipes: dict[str, Recipe]) -> None:
    resolved = recipes[row["recipe"]]
    model: Any = next(model for model in resolved.models if model.name == row["entry"])
    fusion = model.fusion or resolved.fusion
    assert model.type == "bert4rec" and model.head == "untied"
    assert model.hidden_size == int(row["embedding_dim"])
    assert model.layers == int(row["transformer_layers"])
    assert model.train == {"frozen": "frozen", "learned": "finetune"}[row["embeddings"]]
    assert fusion.normalise == {"no": "none"}.get(row["normalised"], row["normalised"])
    assert fusion.regularise == (row["regularised"] == "yes")
    assert model.dropout == (0.3 if row["regularised"] == "yes" else 0.2)
    assert fusion.architecture == {"concatenated": "early", "individual": "late"}[row["fusion"]]
    joint = fusion.reduce if row["fusion"] == "individual" else fusion.reduce_joint
    assert row["fusion"] == "individual" or joint == {"no": "none"}.get(row["reduced_jointly"], row["reduced_jointly"])
    assert row["fusion"] != "individual" or (joint, fusion.late_norm) == (row["reduced_jointly"], "each")
    assert not fusion.id_embedding and fusion.missing.type == "mean"
    named = re.search(r"\((glove|miniLM|w2v|mpnet)\)", row["printed_row"])
    if named:
        key = {"glove": "glove", "miniLM": "minilm", "w2v": "word2vec", "mpnet": "mpnet"}[named[1]]
        assert f"lyrics_{key}" in model.modalities


@pytest.mark.parametrize("row", ROWS, ids=case)
def test_content_of_an_entry_has_the_printed_widths(row: dict[str, str], recipes: dict[str, Recipe]) -> None:
    resolved = recipes[row["recipe"]]
    model = next(model for model in resolved.models if model.name == row["entry"])
    modalities, wanted = content(resolved, model), dict(part.split(":") for part in row["parts"].split())
    if not modalities:
        assert not wanted
        return
    # a joint PCA is applied to the modalities that are compared here
    fusion = (model.fusion or resolved.fusion).model_copy(update={"reduce_joint": "none"})
    blocks = prepared_blocks(modalities, fusion, np.arange(TRACKS + 1) > 0)
    found = {KINDS[name.partition("_")[0]]: block.shape[1] for name, block in blocks.items()}
    assert found == {part: int(width.split(">")[-1]) for part, width in wanted.items()}
    before = {KINDS[name.partition("_")[0]]: modality.dim for name, modality in modalities.items()}
    assert all(before[part] == int(width.split(">")[0]) for part, width in wanted.items() if ">" in width)
    if row["reduced_jointly"] == "no":
        assert sum(found.values()) == int(row["embedding_dim"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["table"] == "Table 7"], ids=case)
def test_network_of_an_entry_has_the_printed_sizes(row: dict[str, str], recipes: dict[str, Recipe]) -> None:
    resolved = recipes[row["recipe"]]
    model = next(model for model in resolved.models if model.name == row["entry"])
    fusion: Fusion = model.fusion or resolved.fusion
    network: Any = build_network.build(
        model, fusion, content(resolved, model), np.arange(TRACKS + 1) > 0, title_dim=0, seed=0
    )
    dim, parts = int(row["embedding_dim"]), row["parts"].split()
    assert network.position_embedding.weight.shape[1] == dim
    assert len(network.trm_encoder.layer) == int(row["transformer_layers"])
    assert network.space.output_head.weight.shape == (TRACKS + 1, dim) and network.space.own_bias is not None
    assert len(network.others) == (len(parts) - 1 if row["fusion"] == "individual" else 0)
    if not parts:
        return
    linear = [module for module in network.item_table.modules() if type(module).__name__ == "Linear"]
    assert {layer.out_features for layer in linear} == {dim}
    assert len(linear) == (len(parts) if row["fusion"] == "individual" else 1)
    if row["reduced_jointly"].startswith("pca"):
        assert linear[0].in_features == dim
    if row["fusion"] == "individual":
        assert len(network.late.norms) == len(parts) and not hasattr(network.late, "weight")


def test_every_printed_entry_exists_in_its_recipe(recipes: dict[str, Recipe]) -> None:
    baselines = recipe("usc_baselines.yaml")
    names = {name: {model.name for model in one.models} for name, one in recipes.items()}
    names["usc_baselines.yaml"] = {each if isinstance(each, str) else each.name for each in baselines.baselines}
    rows = printed("usc.csv")
    assert [row for row in rows if row["entry"] and row["entry"] not in names[row["recipe"]]] == []
    assert {row["entry"] for row in printed("usc_baselines.csv")} <= names["usc_baselines.yaml"]
    assert all((row["verdict"] == "faithful") == (row["difference"] == "") for row in rows)
    assert sum(row["part"] == "Table 6" for row in rows) == 9 and sum(row["part"] == "Table 7" for row in rows) == 32


def test_headline_numbers_equal_those_of_the_tables() -> None:
    rows = [row for row in printed("usc.csv") if row["part"] in ("Table 6", "Table 7")]
    table = [row for row in ROWS if row["table"] in ("Table 6", "Table 7")]
    assert [row["printed"] for row in rows] == [row["recall@500"] for row in table]
    assert {row["metric"] for row in rows} == {"recall@500"}


def commands(path: Path) -> list[list[str]]:
    """Return the `--set` values of every command for the baselines in a file."""
    lines = [line.lstrip("# ") for line in path.read_text(encoding="utf-8").splitlines()]
    chosen = [line for line in lines if line.startswith("segue run recipes/papers/usc_baselines.yaml --out")]
    words = [shlex.split(line, comments=True) for line in chosen]
    return [[line[i + 1] for i, word in enumerate(line) if word == "--set"] for line in words]


@pytest.mark.parametrize("path", ["recipes/papers/usc_baselines.yaml", "docs/papers/usc.md"])
def test_commands_of_the_four_corpora_filter_as_printed(path: str) -> None:
    overrides, corpora = commands(ROOT / path), printed("usc_corpora.csv")
    assert len(overrides) == len(corpora) == 4
    for given, corpus in zip(overrides, corpora, strict=True):
        filters = recipe("usc_baselines.yaml", *given).data.filters
        assert filters.min_playlist_length == int(corpus["min_playlist_length"] or 2), corpus["corpus"]
        assert filters.min_track_plays == int(corpus["min_track_plays"] or 1), corpus["corpus"]
        assert filters.repeats == corpus["repeats"]


def challenge(path: Path) -> Path:
    """Write a challenge set of 60 playlists, 6 of each of its ten lengths, four fifths of them of 5 tracks or more."""
    lengths = [0, 1, 5, 5, 10, 10, 25, 25, 40, 50]
    playlists = []
    for pid in range(60):
        tracks = [(7 * pid + step) % 90 for step in range(lengths[pid % 10])]
        playlists.append(
            {
                "pid": pid,
                "num_tracks": len(tracks),
                "tracks": [
                    {
                        "pos": place,
                        "track_uri": f"spotify:track:{track:022d}",
                        "artist_uri": f"spotify:artist:{track % 9:022d}",
                        "album_uri": f"spotify:album:{track % 20:022d}",
                        "track_name": f"track {track}",
                        "artist_name": f"artist {track % 9}",
                        "album_name": f"album {track % 20}",
                        "duration_ms": 200_000,
                    }
                    for place, track in enumerate(tracks)
                ],
            }
        )
    path.write_text(json.dumps({"playlists": playlists}))
    return path


def test_small_corpus_is_the_challenge_playlists_of_5_tracks_or_more(tmp_path: Path, tiny_cache: Path) -> None:
    file, given = challenge(tmp_path / "challenge_set.json"), commands(ROOT / "recipes/papers/usc_baselines.yaml")[0]
    given = [f"data.path={file}" if word.startswith("data.path=") else word for word in given]
    made = recipe("usc_baselines.yaml", *given, "baselines=[popularity]", "evaluation.k=[5]", "evaluation.bootstrap=20")
    pipeline.run(made, tmp_path / "run", cache=tiny_cache)
    assert json.loads((tmp_path / "run" / run_directory.DATA).read_text())["playlists"] == 48


def catalogue(folder: Path) -> None:
    """Write 120 playlists of 24 tracks with all four modalities, one of them with a track that is in no other."""
    features = list(AUDIO_FEATURES)
    playlists = [["playlist_id", "track_id"]]
    for row in range(120):
        tracks = [f"t{(row + step) % 24}" for step in range(24)]
        playlists += [[f"p{row}", track] for track in (["rare", *tracks] if row == 0 else tracks)]
    tracks: list[list[Any]] = [["track_id", "title", "artist", "lyrics", "biography", "cover", *features]]
    for row, name in enumerate([*(f"t{track}" for track in range(24)), "rare"]):
        Image.new("RGB", (30, 20), (10 * row, 90, 200 - 8 * row)).save(folder / f"{name}.png")
        values = [round((row * (column + 3) % 7) / 7, 3) for column in range(len(features))]
        texts = [f"song {row}", f"artist {row % 5}", f"love and road {row}", f"a band from town {row % 5}"]
        tracks.append([name, *texts, f"{name}.png", *values])
    for file, rows in (("playlists.csv", playlists), ("tracks.csv", tracks)):
        with (folder / file).open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(rows)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> Path:
    """Run the documented command for one's own data for an epoch, with three rows at their printed sizes."""
    folder = tmp_path_factory.mktemp("usc")
    catalogue(folder)
    page = (ROOT / "docs" / "papers" / "usc.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if "data.path=playlists.csv" in line)
    words = shlex.split(line)
    given = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    given = [f"data.path={folder / 'playlists.csv'}" if one.startswith("data.path=") else one for one in given]
    small = ["defaults.epochs=1", "encoders.audio_mu.params.epochs=1", "encoders.art_vae.params.epochs=1", "threads=1"]
    resolved = recipe("modalities_learned.yaml", *given, *small, "evaluation.bootstrap=20", "baselines=[popularity]")
    chosen = [model for model in resolved.models if model.name in ("ids-512", "audio-art", "audio-lyrics-glove")]
    pipeline.run(resolved.model_copy(update={"models": chosen}), folder / "run", cache=tiny_cache)
    return folder / "run"


def test_documented_command_drops_rare_tracks(grid: Path) -> None:
    data = json.loads((grid / run_directory.DATA).read_text())
    assert (data["playlists"], data["tracks"]) == (120, 24)


@pytest.mark.parametrize(
    ("system", "state"), [("ids-512", "run"), ("audio-art", "run"), ("audio-lyrics-glove", "skipped")]
)
def test_documented_command_runs_rows_at_printed_sizes_unless_weights_are_missing(
    grid: Path, system: str, state: Literal["run", "skipped"]
) -> None:
    systems = {row["system"] for row in json.loads((grid / run_directory.METRICS).read_text())}
    assert (system in systems) == (state == "run")

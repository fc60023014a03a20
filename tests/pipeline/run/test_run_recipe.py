"""Tests of a small run from data to report, with all stages and written files."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pyarrow.parquet as parquet
import pytest

from segue.commands.run import run as run_command
from toolkit import pipeline, run_directory
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.errors import InputError, RunDirectoryError
from toolkit.ingest.read_data import content_of, ingest, open_reader, stamp
from toolkit.pipeline.figures.example_playlists import draw
from toolkit.pipeline.run.fit_systems import packed, unpacked
from toolkit.pipeline.run.meter import metered
from toolkit.pipeline.run.run_stages import STAGES
from toolkit.pipeline.write.manifest import git_commit
from toolkit.progress import Reporter
from toolkit.recipe import Data, load

SYSTEMS = ["sasrec-multimodal", "popularity", "content-centroid", "upper-bound"]

LISTS = """\
playlist_id,track_id,title,artist,energy,valence,mood
{rows}"""


def read(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def states(run: Path) -> Counter[str]:
    lines = [json.loads(line) for line in (run / run_directory.LOG).read_text().splitlines()]
    return Counter(line["state"] for line in lines if line["event"] == "stage")


def test_metrics_have_every_system_metric_and_split(tiny_run: Path) -> None:
    found = {
        (row["system"], row["split"], row["slice"], row["metric"], row["k"])
        for row in read(tiny_run, run_directory.METRICS)
    }
    assert {
        (s, p, "all", m, k) for s in SYSTEMS for p in ("valid", "test") for m in ("recall", "ndcg") for k in (5, 20)
    } <= found
    assert list(dict.fromkeys(row["system"] for row in read(tiny_run, run_directory.METRICS))) == SYSTEMS


def test_metric_equals_the_mean_over_playlists(tiny_run: Path) -> None:
    frame = parquet.read_table(tiny_run / run_directory.PER_PLAYLIST).to_pandas()
    labelled = [
        whole.assign(slice=f"{kind}:" + whole[kind])
        for whole in [frame[frame.slice == "all"]]
        for kind in ("seeds", "length", "overlap")
    ]
    frame = pandas.concat([frame, *labelled])
    means = frame.groupby(["system", "split", "slice", "metric", "k"])["value"].mean()
    for row in read(tiny_run, run_directory.METRICS):
        assert row["value"] == pytest.approx(
            means[row["system"], row["split"], row["slice"], row["metric"], row["k"]], abs=1e-8
        )
        assert row["n"] == 1 or row["ci_low"] <= row["value"] <= row["ci_high"]


def test_example_hits_agree_with_recall_of_the_playlist(tiny_run: Path) -> None:
    frame = parquet.read_table(tiny_run / run_directory.PER_PLAYLIST).to_pandas()
    chosen = frame[(frame.split == "test") & (frame.slice == "all") & (frame.metric == "recall") & (frame.k == 5)]
    values = {(row.system, row.playlist): row.value for row in chosen.itertuples()}
    examples = read(tiny_run, run_directory.EXAMPLES)
    assert len(examples) == 2
    for example in examples:
        hidden = {track["id"] for track in example["hidden"]}
        assert not hidden & {track["id"] for track in example["seeds"]}
        for system in SYSTEMS:
            tracks = example["systems"][system]
            assert [track["hit"] for track in tracks] == [track["id"] in hidden for track in tracks]
            recall = sum(track["hit"] for track in tracks) / min(5, len(hidden))
            assert recall == pytest.approx(values[system, example["playlist"]])


def test_manifest_and_coverage_describe_the_run(tiny_run: Path) -> None:
    manifest, data = read(tiny_run, run_directory.MANIFEST), read(tiny_run, run_directory.DATA)
    assert manifest["device"] == "cpu" and manifest["threads"] == 1 and manifest["seed"] == 0
    assert {"segue", "python", "torch", "recbole", "numpy"} <= set(manifest["versions"])
    assert data["tracks"] == 200 and data["playlists"] == 150 and sum(data["split"].values()) <= 150
    coverage = {row["modality"]: row for row in read(tiny_run, run_directory.COVERAGE)}
    assert coverage["audio"] | {"sources": 0} == {
        "modality": "audio", "encoder": "features", "field": "audio_features", "dim": 11, "coverage": 1.0, "sources": 0,
    }  # fmt: skip
    assert coverage["lyrics"]["sources"] == [
        {"field": "lyrics", "source": "demo", "train_allowed": True, "n": round(200 * coverage["lyrics"]["coverage"])}
    ]
    absent = coverage["lyrics"]["absent"]
    assert (
        absent["count"] == 200 - round(200 * coverage["lyrics"]["coverage"])
        and absent["examples"][0] in (tiny_run / run_directory.REPORT).read_text()
    )
    timings = read(tiny_run, run_directory.TIMINGS)
    assert [system for system in SYSTEMS if timings[system]["oracle"]] == ["upper-bound"]
    assert all(
        entry["fit_seconds"] >= 0 and entry["evaluate_seconds"] > 0 and entry["peak_mb"] > 10
        for entry in timings.values()
    )
    curve = read(tiny_run, run_directory.CURVES)["sasrec-multimodal"]
    assert [row["epoch"] for row in curve] == [1, 2] and "ndcg@20" in curve[0]
    comparisons = read(tiny_run, run_directory.COMPARISONS)
    assert {row["reference"] for row in comparisons} == {"sasrec-multimodal"} and {
        row["system"] for row in comparisons
    } == set(SYSTEMS[1:])
    assert "sasrec-multimodal" in (tiny_run / run_directory.REPORT).read_text()


def test_coverage_has_the_licence_of_pretrained_weights(tiny_recipe: Path, tiny_cache: Path, tmp_path: Path) -> None:
    pretrained = [
        "encoders.lyrics={encoder: sentence-bert, field: lyrics}",
        "titles=null",
        "models=[]",
        "baselines=[content-centroid]",
    ]
    pipeline.run(load(tiny_recipe, pretrained), tmp_path / "run", cache=tiny_cache)
    coverage = {row["modality"]: row.get("weights_licence") for row in read(tmp_path / "run", run_directory.COVERAGE)}
    assert coverage == {"audio": None, "lyrics": "Apache-2.0 (all-MiniLM-L6-v2)"}
    assert "weights: Apache-2.0 (all-MiniLM-L6-v2)" in (tmp_path / "run" / run_directory.REPORT).read_text()


def test_coverage_has_the_out_of_vocabulary_share_of_text_encoders(
    tiny_recipe: Path, tiny_cache: Path, tmp_path: Path
) -> None:
    words = [
        "encoders.lyrics.encoder=word2vec",
        "encoders.lyrics.params={dim: 8, min_count: 30, epochs: 1}",
        "models=[]",
    ]
    for run in ("first", "from the cache"):
        pipeline.run(load(tiny_recipe, words), tmp_path / run, cache=tiny_cache)
        (row,) = (row for row in read(tmp_path / run, run_directory.COVERAGE) if row["modality"] == "lyrics")
        assert row["dim"] == 8 and 0 < row["out_of_vocabulary"] < row["out_of_vocabulary_words"] < 1


def test_upper_bound_has_the_highest_ndcg(tiny_run: Path) -> None:
    key = ("test", "all", "ndcg", 20)
    rows = [
        row
        for row in read(tiny_run, run_directory.METRICS)
        if (row["split"], row["slice"], row["metric"], row["k"]) == key
    ]
    ndcg = {row["system"]: row["value"] for row in rows}
    assert max(ndcg, key=lambda system: ndcg[system]) == "upper-bound"


def test_finished_run_returns_without_writing(tiny_run: Path, tiny_cache: Path) -> None:
    recipe = load(tiny_run / run_directory.RECIPE)
    before = {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*") if path.name != run_directory.LOCK}
    assert pipeline.run(recipe, tiny_run, cache=tiny_cache).metrics == read(tiny_run, run_directory.METRICS)
    assert {path: path.stat().st_mtime_ns for path in tiny_run.rglob("*") if path.name != run_directory.LOCK} == before


def test_different_recipe_in_a_run_directory_raises(tiny_run: Path, tiny_cache: Path) -> None:
    recipe = load(tiny_run / run_directory.RECIPE, ["models.0.epochs=3"])
    with pytest.raises(RunDirectoryError, match=r"models\.0\.epochs was 2, is 3"):
        pipeline.run(recipe, tiny_run, cache=tiny_cache)


def test_only_missing_stages_run_again_unless_fresh(tiny_run: Path, tiny_cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / run_directory.LOG).unlink()
    (run / run_directory.METRICS).unlink()
    shutil.rmtree(run / "model" / "popularity")
    recipe = load(run / run_directory.RECIPE)
    pipeline.run(recipe, run, cache=tiny_cache)
    # started: ingest, the fit of popularity, and the last, which closes the run
    assert states(run) == {"started": 3, "unchanged": 12, "finished": 2}
    assert (run / run_directory.METRICS).read_bytes() == (tiny_run / run_directory.METRICS).read_bytes()
    (run / run_directory.LOG).unlink()
    pipeline.run(recipe, run, cache=tiny_cache, fresh=True)
    assert states(run)["unchanged"] == 0
    assert (run / run_directory.METRICS).read_bytes() == (tiny_run / run_directory.METRICS).read_bytes()


@pytest.mark.parametrize("lost", ["model/sasrec-multimodal/model.safetensors", "model/tracks.arrow"])
def test_missing_model_file_is_rewritten(tiny_run: Path, tiny_cache: Path, tmp_path: Path, lost: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / lost).unlink()
    pipeline.run(load(run / run_directory.RECIPE), run, cache=tiny_cache)
    assert (run / lost).is_file()
    assert (run / run_directory.METRICS).read_bytes() == (tiny_run / run_directory.METRICS).read_bytes()


def test_unpacked_scores_equal_packed_ones(tiny_run: Path, tmp_path: Path) -> None:
    path = tiny_run / run_directory.STAGES / "evaluate-popularity-test.npz"
    scores = unpacked(path)
    (tmp_path / "again.npz").write_bytes(packed(scores))
    again = unpacked(tmp_path / "again.npz")
    assert list(again.values) == list(scores.values) and ("cold", "ndcg", 20) in scores.values
    assert all(np.array_equal(again.values[key], scores.values[key], equal_nan=True) for key in scores.values)
    assert {name: counts.tolist() for name, counts in again.n_hidden.items()} == {
        n: c.tolist() for n, c in scores.n_hidden.items()
    }


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Return the path of a CSV file with 40 playlists over 30 tracks."""
    rng = np.random.default_rng(0)
    rows = []
    for playlist in range(40):
        for track in rng.choice(30, size=8, replace=False):
            rows.append(
                f"{playlist},{track},Title {track},Artist {track % 7},{track / 30},{track % 5},mood {track % 3}\n"
            )
    path = tmp_path / "lists.csv"
    path.write_text(LISTS.format(rows="".join(rows)))
    return path


def own_recipe(lists: Path, more: str = "") -> Path:
    path = lists.parent / "own.yaml"
    path.write_text(
        f"data:\n  reader: csv\n  path: {lists.name}\n"
        "  options: {features: {sound: [energy, valence]}, fields: {mood: mood}}\n"
        f"{more}"
        "encoders: {sound: {encoder: features, field: sound}}\n"
        "baselines: [popularity, content-centroid]\n"
        "evaluation: {min_tracks: 4, k: [5], bootstrap: 20, split: {valid_fraction: 0.3}}\n"
        "report: {examples: 1}\nthreads: 1\n"
    )
    return path


def test_run_notes_models_whose_epochs_are_chosen_by_the_log_rank(lists: Path, tmp_path: Path) -> None:
    model = "models: [{type: sasrec, epochs: 2, hidden_size: 16, modalities: [], select: recall@5}]\n"
    path = own_recipe(lists, "  permission: {allowed: true, reason: test}\n" + model)
    pipeline.run(load(path), tmp_path / "run", cache=tmp_path / "cache")
    curve = read(tmp_path / "run", "curves.json")["sasrec-ids"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    hits = int(max(row["hits"] for row in curve))
    assert hits < 50
    assert [line["text"] for line in lines if line["event"] == "note" and "hits" in line["text"]] == [
        f"sasrec-ids: at most {hits} validation hits in an epoch, so epochs are compared by the mean log rank of hidden"
        " tracks"
    ]


def test_content_without_training_permission_raises(lists: Path, tmp_path: Path) -> None:
    recipe = load(own_recipe(lists))
    with pytest.raises(
        InputError,
        match=r"training on 'sound' from csv, which does not say .* requires permission: set `permission:"
        r" \{allowed: true",
    ):
        pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")
    last = json.loads((tmp_path / "run" / run_directory.LOG).read_text().splitlines()[-1])
    assert last["state"] == "failed" and "requires permission" in last["error"] and "Traceback" in last["traceback"]
    forbidden = load(own_recipe(lists), ["data.options.train_allowed=false"])
    with pytest.raises(InputError, match=r"training on 'sound' from csv, which forbids it, requires permission"):
        pipeline.run(forbidden, tmp_path / "run2", cache=tmp_path / "cache")
    denied = load(own_recipe(lists, "  permission: {allowed: no, reason: not yet}\n"))
    with pytest.raises(InputError, match="requires permission"):
        pipeline.run(denied, tmp_path / "run3", cache=tmp_path / "cache")


def test_missing_encoder_files_raise_before_encoding(lists: Path, tmp_path: Path) -> None:
    permitted = own_recipe(lists, "  permission: {allowed: yes, reason: my own lists}\n")
    words = "{encoder: word-vectors, field: mood, params: {path: none.txt}}"
    for number, spec in enumerate(
        [words, "{encoder: word-vectors, field: mood}", "{encoder: sentence-bert, field: mood, params: {model: .}}"]
    ):
        run = tmp_path / f"run{number}"
        with pytest.raises(
            InputError,
            match=r"^encoders\.words: (path='none.txt' must be a file|word-vectors requires path|model='.'"
            r" must contain)",
        ):
            pipeline.run(load(permitted, [f"encoders.words={spec}"]), run, cache=tmp_path / "cache")
        assert [
            json.loads(line)["stage"]
            for line in (run / run_directory.LOG).read_text().splitlines()
            if '"stage"' in line
        ] == ["ingest"]


def test_manifest_has_the_permission_and_changed_data_starts_a_new_run(lists: Path, tmp_path: Path) -> None:
    recipe = load(own_recipe(lists, "  permission: {allowed: yes, reason: my own lists}\n"))
    first = pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")
    assert read(tmp_path / "run", run_directory.MANIFEST)["permission"] == {"allowed": True, "reason": "my own lists"}
    assert {row["system"] for row in first.metrics} == {"popularity", "content-centroid"}
    with lists.open("a") as file:
        file.write("".join(f"99,{track},T,A,0.5,1,m\n" for track in range(25)))
    second = pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache")
    assert read(tmp_path / "run", run_directory.DATA)["playlists"] == 41 and second != first
    finished = (tmp_path / "run" / run_directory.LOG).read_bytes()
    assert pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache") == second
    assert (tmp_path / "run" / run_directory.LOG).read_bytes() == finished
    shutil.rmtree(tmp_path / "cache")
    lists.unlink()
    assert pipeline.run(recipe, tmp_path / "run", cache=tmp_path / "cache") == second


def test_data_with_identical_bytes_is_ingested_once(lists: Path, tmp_path: Path) -> None:
    data = Data(reader="csv", path=lists)
    first = ingest(data, tmp_path / "cache", reporter=Reporter())
    built = (tmp_path / "cache" / "corpora" / first.key / "corpus" / "items.npy").stat().st_mtime_ns
    again = ingest(data, tmp_path / "cache", reporter=Reporter())
    assert again.key == first.key and again.corpus.tracks.equals(first.corpus.tracks)
    assert (tmp_path / "cache" / "corpora" / first.key / "corpus" / "items.npy").stat().st_mtime_ns == built
    other = ingest(data.model_copy(update={"options": {"scheme": "mine"}}), tmp_path / "cache", reporter=Reporter())
    assert other.key != first.key and other.corpus.tracks["id"][0].as_py().startswith("mine:")


def test_catalogue_is_filled_on_first_use(lists: Path, tmp_path: Path) -> None:
    data = Data(reader="csv", path=lists)
    bare = ingest(data, tmp_path / "cache", reporter=Reporter(), described=False)
    assert bare.catalogue is None
    described = ingest(data, tmp_path / "cache", reporter=Reporter())
    assert described.key == bare.key and described.catalogue is not None
    with Catalogue.open(described.catalogue) as catalogue:
        assert catalogue.counts()["tracks"] == bare.corpus.n_items
        present, titles = catalogue.field_values("title", bare.corpus.tracks["id"].to_pylist())
    assert present.all() and titles == bare.corpus.tracks["title"].to_pylist()


def test_interrupted_ingest_is_not_reused(lists: Path, tmp_path: Path) -> None:
    first = ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter())
    root = tmp_path / "cache" / "corpora" / first.key
    whole = Corpus.load(root / "corpus").items.tolist()
    (root / "ingest.json").unlink()
    (root / "corpus" / "items.npy").write_bytes(b"half")
    (root.with_name(f".{first.key}.part")).mkdir()
    assert (
        ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter()).corpus.items.tolist() == whole
    )


@pytest.mark.parametrize(
    ("lost", "left"),
    [
        ("corpus", None),
        ("corpus/corpus.json", b""),
        ("corpus/items.npy", None),
        ("corpus/items.npy", b""),
        ("corpus/tracks.arrow", b"half"),
        ("catalogue/catalogue.sqlite", None),
        ("catalogue/catalogue.sqlite", b""),
    ],
)
def test_missing_cache_files_are_rebuilt(lost: str, left: bytes | None, lists: Path, tmp_path: Path) -> None:
    first = ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter())
    whole, place = first.corpus.items.tolist(), tmp_path / "cache" / "corpora" / first.key / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    if left is not None:
        place.write_bytes(left)
    again = ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter())
    with again.open() as catalogue:
        assert again.corpus.items.tolist() == whole and catalogue.counts()["tracks"] == again.corpus.n_items


def test_artist_corpus_is_rebuilt_if_a_file_is_missing(tmp_path: Path) -> None:
    rows = [f"{p},t{(p + t) % 6},a{(p + t) % 3}" for p in range(5) for t in range(4)]
    (tmp_path / "lists.csv").write_text("\n".join(["playlist_id,track_id,artist", *rows]))
    data = Data(reader="csv", path=tmp_path / "lists.csv", level="artist")
    first = ingest(data, tmp_path / "cache", reporter=Reporter())
    whole = first.corpus.items.tolist()
    (lost,) = (tmp_path / "cache").rglob("artists/items.npy")
    lost.unlink()
    assert ingest(data, tmp_path / "cache", reporter=Reporter()).corpus.items.tolist() == whole


def test_damaged_cached_ingest_json_is_rebuilt(lists: Path, tmp_path: Path) -> None:
    first = ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter())
    facts = tmp_path / "cache" / "corpora" / first.key / "ingest.json"
    for damage in ("", "null", "{}"):
        facts.write_text(damage)
        assert ingest(Data(reader="csv", path=lists), tmp_path / "cache", reporter=Reporter()).skipped == first.skipped


def test_data_digest_includes_files_named_in_options(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("playlist_id,track_id\n1,a\n")
    (tmp_path / "t.csv").write_text("track_id,energy\na,1\n")
    data = Data(reader="csv", path=tmp_path / "p.csv", options={"tracks": {"file": "t.csv", "features": ["energy"]}})
    before, mark = content_of(data, Reporter()), stamp(data)
    assert before["bytes"] == 45
    (tmp_path / "t.csv").write_text("track_id,energy\na,22\n")
    assert content_of(data, Reporter())["blake2b"] != before["blake2b"] and stamp(data) != mark
    assert open_reader(data).name == "csv"


def test_opening_a_reader_validates_its_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.options\.playlst is not a key: did you mean playlist\?"):
        open_reader(Data(reader="csv", path=tmp_path, options={"playlst": "x"}))
    with pytest.raises(InputError, match="does not exist: correct the path"):
        content_of(Data(reader="csv", path=tmp_path / "none"), Reporter())


def test_examples_come_from_different_playlists(tiny_cache: Path, tmp_path: Path) -> None:
    lists = [(f"l{i}", f"g{i // 4}", "test" if i < 12 else "train" if i < 20 else "valid") for i in range(24)]
    rows = "".join(f"{name},{group},{part},{name}-{track}\n" for name, group, part in lists for track in range(10))
    (tmp_path / "v.csv").write_text(f"playlist_id,group,split,track_id\n{rows}")
    recipe = {
        "data": {"reader": "csv", "path": str(tmp_path / "v.csv"), "options": {"group": "group", "split": "split"}}
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    loaded = load(tmp_path / "r.yaml")
    split = loaded.evaluation.split.split(ingest(loaded.data, tmp_path / "cache", reporter=Reporter()).corpus)
    for seed in range(5):
        drawn = draw(split.test, 10, seed=seed)
        assert (
            len(drawn) == 3 and len(set(split.test.groups()[drawn])) == 3 and drawn.tolist() == sorted(drawn.tolist())
        )
    assert len({tuple(draw(split.test, 2, seed=seed)) for seed in range(20)}) > 5


def test_peak_memory_covers_only_the_measured_block() -> None:
    with metered() as large:
        np.ones(30_000_000).sum()
    with metered() as small:
        np.ones(10).sum()
    assert 200 < large.peak_mb - small.peak_mb < 300 and 0 <= small.seconds < large.seconds < 60


def test_manifest_commit_equals_the_checkout_head() -> None:
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_docstring_and_command_help_list_all_stages() -> None:
    names = [name for name, _ in STAGES]
    listed = " ".join((pipeline.__doc__ or "").split())
    assert f"The stages are {', '.join(names[:-1])} and {names[-1]}." in listed
    assert (
        run_command.__doc__ is not None and f"Run a recipe: {', '.join(names[:3])}, {names[-1]}." in run_command.__doc__
    )


def test_log_lists_the_stages_in_order(tiny_run: Path) -> None:
    lines = [json.loads(line) for line in (tiny_run / run_directory.LOG).read_text().splitlines()]
    states = [line["state"] for line in lines if line["event"] == "run"]
    assert states == ["started", *(name for name, _ in STAGES), "finished"]

"""Tests of loading recipes, with defaults, overrides and error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from tests.recipe_file import write
from toolkit.errors import RecipeError
from toolkit.parameters import Parameters
from toolkit.recipe import Data, Recipe, load
from toolkit.recipe.resolved_recipes import to_yaml
from toolkit.recipe.yaml_file import pairs, read

SHIPPED = sorted((Path(__file__).parents[2] / "recipes").rglob("*.yaml"))

BASE = """\
data:
  reader: demo
  permission: {allowed: yes, reason: my own songs}
encoders:
  audio: {encoder: features, field: audio_features}
models:
  - type: sasrec
    hidden_size: 32
    modalities: [audio]
baselines: [popularity, {name: item-knn, params: {shrink: 1.5}}]
"""


def test_values_not_in_a_recipe_have_defaults(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, BASE), parameters=True)
    assert recipe.data.permission is not None and recipe.data.permission.allowed is True
    assert recipe.models[0].hidden_size == 32 and recipe.models[0].heads == 2
    assert recipe.evaluation.k == [20, 50, 500] and recipe.seed == 0


def test_recipe_name_defaults_to_the_file_name(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    assert load(path).name == "r" and load(write(tmp_path, "name: mine\n" + BASE)).name == "mine"
    assert load(path, ["name=other"]).name == "other"


def test_default_baselines_without_encoders_need_no_content(tmp_path: Path) -> None:
    assert load(write(tmp_path, "data: {reader: demo}")).baselines == ["popularity", "item-knn"]
    with_content = "data: {reader: demo}\nencoders: {a: {encoder: features, field: audio_features}}"
    assert load(write(tmp_path, with_content)).baselines == ["popularity", "item-knn", "content-centroid"]


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("models.0.hidden_size=64", lambda r: r.models[0].hidden_size, 64),
        ("models.0.lr=1e-4", lambda r: r.models[0].lr, 1e-4),
        ("evaluation.k=[50, 5]", lambda r: r.evaluation.k, [50, 5]),
        ("models.1={type: bert4rec}", lambda r: [m.type for m in r.models], ["sasrec", "bert4rec"]),
        ("models.1.type=bert4rec", lambda r: len(r.models), 2),
        ("report={examples: 3}", lambda r: r.report.examples, 3),
        ("data.permission=null", lambda r: r.data.permission, None),
        ("data.permission=", lambda r: r.data.permission, None),
        ("name=a=b", lambda r: r.name, "a=b"),
    ],
)
def test_override_sets_a_value_by_dotted_key(tmp_path: Path, override: str, get, value) -> None:
    assert get(load(write(tmp_path, BASE), [override])) == value


def test_last_override_takes_precedence_and_is_named_in_errors(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    assert load(path, ["seed=1", "seed=2"]).seed == 2
    file = read(path, ["models.0={type: sasrec, hidden_size: 3}"])
    assert file.place(("models", 0, "hidden_size")) == "--set models.0={type: sasrec, hidden_size: 3}"
    assert file.place(("models",)) == f"{path}:6"


def test_paths_are_relative_to_the_recipe_or_for_overrides_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, here = tmp_path / "recipes", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    path = write(folder, "data: {path: ../lists.csv}")
    assert load(path).data.path == tmp_path / "lists.csv"
    assert load(path, ["data.path=../lists.csv"]).data.path == tmp_path / "lists.csv"
    assert load(path, ["data.path=x.csv"]).data.path == here / "x.csv"


FAULTS = [
    ("    hidden_size: 32", "    hiden_size: 32", "8: models.0.hiden_size is not a key: did you mean hidden_size?"),
    ("    hidden_size: 32", "    hidden_size: many", "8: models.0.hidden_size='many' must be a valid integer"),
    ("    hidden_size: 32", "    hidden_size: 1", "8: models.0.hidden_size=1 must be greater than or equal to 2"),
    ("    hidden_size: 32", "    hidden_size: 33", "7: models.0: hidden_size=33 must be a multiple of heads=2"),
    (
        "    hidden_size: 32",
        "    negatives_from: popularity",
        "8: models.0.negatives_from='popularity' can be set only with `loss: sampled`, not `chunked`: remove"
        " `negatives_from`, or write `loss:"
        " {type: sampled, neg",
    ),
    (
        "    hidden_size: 32",
        "    loss: {type: sampled, negatives_from: popular}",
        "8: models.0.loss.negatives_from='popular' must be 'uniform' or 'popularity'",
    ),
    (
        "    hidden_size: 32",
        "    loss: {type: gbce, negatives: 0}",
        "8: models.0.loss.negatives=0 must be greater than or equal to 1",
    ),
    (
        "    hidden_size: 32",
        "    loss: {type: gbce, log_q: false}",
        "8: models.0.loss.log_q is not a key: use one of negatives, t, type",
    ),
    ("    hidden_size: 32", "    loss: chunkd", "8: models.0.loss='chunkd' is not a loss: did you mean 'chunked'?"),
    (
        "    hidden_size: 32",
        "    mask_ratio: 0.3",
        "8: models.0.mask_ratio=0.3 can be set only with `type: bert4rec`, not `sasrec`: remove `mask_ratio`",
    ),
    ("    hidden_size: 32", "    layrs: 3", "8: models.0.layrs is not a key: did you mean layers?"),
    ("    hidden_size: 32", "    lr: .inf", "8: models.0.lr=inf must be a finite number"),
    ("    hidden_size: 32", "    inner_size: 0", "8: models.0.inner_size=0 must be greater than or equal to 1"),
    ("type: sasrec", "type: gru", "7: models.0.type='gru' is not a model: "),
    ("  - type: sasrec\n", "  - epochs: 2\n", "7: models.0.type is missing: set one of bert4rec, "),
    (
        "modalities: [audio]",
        "modalities: [audoi]",
        "9: models.0.modalities.0='audoi' is not an encoder of this recipe: did you mean audio?",
    ),
    (
        "modalities: [audio]",
        "modalities: [audio, audio]",
        "9: models.0.modalities must have unique values, but audio is listed twice: remove one",
    ),
    ("modalities: [audio]", "titles: true", "9: models.0.titles=true requires a title encoder"),
    (
        "modalities: [audio]",
        "select: ndcg@7",
        "9: models.0.select='ndcg@7' must be a metric that the evaluation measures: set one of recall@20, ",
    ),
    ("modalities: [audio]", "modalities: []\n    match: true", "10: models.0.match=true requires a modality"),
    ("modalities: [audio]", "name: ../up", "7: models.0: name '../up' must start with a letter or digit"),
    (
        "encoder: features",
        "encoder: featurs",
        "5: encoders.audio.encoder='featurs' is not an encoder: did you mean features?",
    ),
    ("reader: demo", "reader: dmeo", "2: data.reader='dmeo' is not a reader: did you mean demo?"),
    ("reader: demo", "reader: csv", "1: data.path is missing, but reader 'csv' requires a file or folder"),
    ("[popularity,", "[popularty,", "10: baselines.0='popularty' is not a ranker: did you mean popularity?"),
    (
        "[popularity,",
        "[popularity, popularity,",
        "10: baselines.1 repeats the system name popularity: list each baseline once",
    ),
    ("[popularity,", "[3,", "10: baselines.0=3 must be a mapping of keys to values"),
    ("my own songs}", "no}", "3: data.permission.reason='no' must have at least 3 characters"),
    (
        "baselines:",
        "evaluation: {k: [5, 5]}\nbaselines:",
        "10: evaluation.k must have unique values, but 5 is listed twice: remove one",
    ),
    ("baselines:", "evaluation: {reference: ease}\nbaselines:", "10: evaluation.reference='ease' is not a system"),
    (
        "baselines:",
        "fusion: {modalities: [a]}\nbaselines:",
        "10: fusion.modalities.0='a' is not an encoder of this recipe",
    ),
    (
        "baselines:",
        "fusion: {reduce: pca}\nbaselines:",
        "10: fusion.reduce: 'pca' must be none, pca:N, linear:N or mlp:N",
    ),
    ("baselines:", "fusion: {reduce: {audio: pca:0}}\nbaselines:", "10: fusion.reduce: 'pca:0' must be none, pca:N"),
    (
        "baselines:",
        "fusion: {reduce: {sound: pca:2}}\nbaselines:",
        "10: fusion.reduce.sound is not an encoder of this recipe: use one of audio",
    ),
    (
        "baselines:",
        "fusion: {reduce_joint: pca:2, join: sum}\nbaselines:",
        "10: fusion: `reduce_joint: pca:",
    ),
    (
        "baselines:",
        "fusion: {join: gated, missing: em}\nbaselines:",
        "10: fusion: `missing: em` cannot be used with `join: gated`",
    ),
    (
        "baselines:",
        "fusion: {join: gated, normalise: after}\nbaselines:",
        "10: fusion: `normalise: after` requires a join that projects all modalities together",
    ),
    (
        "baselines:",
        "fusion: {architecture: late, join: concat}\nbaselines:",
        "10: fusion: `join: concat` requires `architecture: early`",
    ),
    (
        "baselines:",
        "fusion: {reduce_joint: pca:2, missing: mask_token}\nbaselines:",
        "10: fusion: `missing: mask_token` requires separate modalities",
    ),
    (
        "baselines:",
        "fusion: {reduce_joint: pca:2, modality_dropout: 0.1}\nbaselines:",
        "10: fusion: `modality_dropout` requires separate modalities",
    ),
    (
        "baselines:",
        "fusion: {missing: maen}\nbaselines:",
        "10: fusion.missing='maen' is not a missing-value policy: did you mean 'mean'?",
    ),
    ("modalities: [audio]", "train: warmup\n    epochs: 5", "7: models.0: warmup_epochs=5 must be < epochs=5"),
    ("baselines:", "seed: 1.5\nbaselines:", "10: seed=1.5 must be a valid integer"),
    ("baselines:", "data: {}\nbaselines:", "10: data must be set only once: remove one entry"),
    ("baselines:", "seed: !!python/name:os.system\nbaselines:", "10: tags (!…) are not allowed in a recipe"),
    ("baselines:", "seed: !mine 3\nbaselines:", "10: tags (!…) are not allowed in a recipe"),
    ("baselines:", "? [a]\n: 3\nbaselines:", "10: a key must be plain text"),
    ("baselines: [", "baselines: [[", "expected ',' or ']'"),
    ("data:\n", "\tdata:\n", "1: found character '\\t' that cannot start any token"),
]


@pytest.mark.parametrize(
    ("evaluation", "select"),
    [
        ("{}", "ndcg@50"),
        ("{k: [500, 50]}", "ndcg@50"),
        ("{k: [20]}", "ndcg@20"),
        ("{k: [5, 500, 20]}", "ndcg@20"),
        ("{metrics: [recall]}", "recall@50"),
        ("{metrics: [recall], k: [100]}", "recall@100"),
    ],
)
def test_default_select_is_one_of_the_evaluation_metrics(tmp_path: Path, evaluation: str, select: str) -> None:
    recipe = load(write(tmp_path, f"{BASE}evaluation: {evaluation}\n"))
    assert recipe.models[0].select == select
    assert type(recipe).model_validate(recipe.model_dump(mode="json")).models[0].select == select


def test_select_that_is_not_evaluated_raises(tmp_path: Path) -> None:
    given = BASE.replace("hidden_size: 32", "select: ndcg@50", 1)
    with pytest.raises(
        RecipeError,
        match=r"models\.0\.select='ndcg@50' must be a metric that the evaluation measures: set one of"
        r" recall@20, ndcg@20",
    ):
        load(write(tmp_path, f"{given}evaluation: {{k: [20]}}\n"))


@pytest.mark.parametrize(("old", "new", "message"), FAULTS, ids=[fault[2][:50] for fault in FAULTS])
def test_recipe_error_has_line_key_value_and_rule(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, BASE.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "encoder: features,",
            "encoder: tfidf, params: {dims: 3},",
            "5: encoders.audio.params.dims is not a key: did you mean dim?",
        ),
        (
            "encoder: features,",
            "encoder: tfidf, params: {dim: -1},",
            "5: encoders.audio.params.dim=-1 must be greater than or equal to 0",
        ),
        ("{shrink: 1.5}", "{shrnk: 1.5}", "10: baselines.1.params.shrnk is not a key: did you mean shrink?"),
        (
            "reader: demo",
            "reader: demo\n  options: {trakcs: 300}",
            "3: data.options.trakcs is not a key: did you mean tracks?",
        ),
        (
            "models:\n  -",
            "titles: {encoder: features, field: title}\nmodels:\n  - titles: true\n   ",
            "6: titles.encoder='features' reads features, but titles are text",
        ),
    ],
)
def test_invalid_plugin_parameters_raise(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, BASE.replace(old, new, 1))
    load(path)
    with pytest.raises(RecipeError, match="is not a key|must be|titles are text") as caught:
        load(path, parameters=True)
    assert str(caught.value).startswith(f"{path}:{message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=true", "seed=true must be a number"),
        ("threads=true", "threads=true must be a number"),
        ("models.0.dropout=false", "models.0.dropout=false must be a number"),
        ("models.0.lr=true", "models.0.lr=true must be a number"),
        ("evaluation.k=[20, true]", "evaluation.k.1=true must be a number"),
        ("evaluation.seeds=true", "evaluation.seeds=true must be a number"),
        ("models.0.match=1", "models.0.match=1 must be true or false"),
        ("models.0.match=0.0", "models.0.match=0.0 must be true or false"),
        ("data.permission.allowed=1", "data.permission.allowed=1 must be true or false"),
        ("data.options.tracks=true", "data.options.tracks=true must be a number"),
        (
            "data={reader: csv, path: x.csv, options: {train_allowed: 1}}",
            "data.options.train_allowed=1 must be true or false",
        ),
        (
            "encoders.audio={encoder: tfidf, field: lyrics, params: {dim: true}}",
            "encoders.audio.params.dim=true must be a number",
        ),
        ("baselines.1.params.shrink=true", "baselines.1.params.shrink=true must be a number"),
    ],
)
def test_boolean_for_a_number_and_number_for_a_boolean_raise(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as found:
        load(write(tmp_path, BASE), [override], parameters=True)
    assert str(found.value) == f"--set {override}: {message}"


def test_boolean_for_a_number_in_annotated_types_raises() -> None:
    class Params(Parameters):
        sizes: list[Annotated[int, Field(ge=1)]] | None = None
        ratio: Annotated[float, Field(gt=0)] | bool = 1.0

    with pytest.raises(ValidationError) as found:
        Params(sizes=[3, True])
    assert [(fault["loc"], fault["msg"]) for fault in found.value.errors()] == [(("sizes", 1), "must be a number")]
    assert Params(sizes=None, ratio=True).ratio is True


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.0.epcohs=5", "--set models.0.epcohs=5: models.0.epcohs is not a key: did you mean epochs?"),
        ("models.4.epochs=5", "--set models.4.epochs=5: '4' must be a list index from 0 to 1"),
        ("models.first.epochs=5", "--set models.first.epochs=5: 'first' must be a list index"),
        ("data.reader.x=5", "--set data.reader.x=5: 'x' is inside the value 'demo', which has no keys"),
        ("seed", "--set seed must have the form key=value"),
        ("=3", "--set =3 must have the form key=value"),
        ("a..b=3", "--set a..b=3 must have the form key=value"),
        ("seed=[1", "--set seed=[1:1: expected ',' or ']'"),
        ("seed=!!python/name:os.system", "tags (!…) are not allowed"),
    ],
)
def test_error_in_an_override_quotes_the_override(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(write(tmp_path, BASE), [override])
    assert message in str(caught.value) and str(caught.value).startswith("--set ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold a mapping of keys to values, not nothing"),
        (b"- 1\n", "must hold a mapping of keys to values, not a list"),
        (b"name: x\n", "data is missing: set the key"),
        (b"name: caf\xe9\n", ":1: byte 0xe9 is not UTF-8"),
        (b"data: {reader: demo}\nname: \xff\n", ":2: byte 0xff is not UTF-8"),
        (b"data: &a [*a]\n", "nested too deeply"),
        (
            b"data: {reader: demo}\nmodels: []\nbaselines: []\n",
            "the recipe has no models, cold-start systems or baselines",
        ),
        (b"a: " + b"[" * 3000, "nested too deeply"),
    ],
)
def test_file_that_is_not_a_recipe_raises(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert message in str(caught.value)


def test_yaml_aliases_that_expand_to_billions_of_values_raise(tmp_path: Path) -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(RecipeError, match="more than 100,000 values"):
        load(write(tmp_path, "\n".join(["l0: &l0 [x]", *levels])))


def test_missing_recipe_or_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml does not exist: pass the path of a recipe"):
        load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_resolved_recipe_round_trips(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, BASE), ["models.0.lr=3e-5", "name='null'", "data.options={tracks: 300}"])
    (tmp_path / "resolved.yaml").write_bytes(to_yaml(recipe.model_dump(mode="json")))
    assert load(tmp_path / "resolved.yaml") == recipe


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"defaults": {"epochs": 1, "epcohs": 2}}, "models.0.epcohs is not a key: did you mean epochs?"),
        ({"seed": True}, "seed=true must be a number"),
        (
            {"models": [{"type": "sasrec", "modalities": ["nope"]}]},
            "models.0.modalities.0='nope' is not an encoder of this recipe: no names are allowed here",
        ),
        ({"baselines": ["popularty"]}, "baselines.0='popularty' is not a ranker: did you mean popularity?"),
        ({"models": [{"type": "sasrec", "match": 1}]}, "models.0.match=1 must be true or false"),
        ({"data": {"reader": "demo", "pth": "x"}}, "data.pth is not a key: did you mean path?"),
        (
            {"models": [], "baselines": []},
            "the recipe has no models, cold-start systems or baselines: add at least one system",
        ),
    ],
)
def test_recipe_built_in_python_is_validated_like_a_file(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as found:
        Recipe(**{"data": {"reader": "demo"}, "models": [{"type": "sasrec"}], **given})
    assert str(found.value) == message


def test_defaults_apply_to_models_of_a_recipe_built_in_python() -> None:
    recipe = Recipe(
        data=Data(reader="demo"),
        defaults={"epochs": 1, "lr": 0.1},
        models=[{"type": "sasrec"}, {"type": "bert4rec", "epochs": 3}],
    )
    assert [(model.epochs, model.lr) for model in recipe.models] == [(1, 0.1), (3, 0.1)]
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_pairs_parses_yaml_values_and_nests_dotted_keys() -> None:
    assert pairs(["a=1", "b.c=[x, 2]", "b.d=tab"], "--option") == {"a": 1, "b": {"c": ["x", 2], "d": "tab"}}
    with pytest.raises(RecipeError, match=r"--option a must have the form key=value"):
        pairs(["a"], "--option")


def test_errors_in_an_extended_recipe_name_the_right_file(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    base = write(tmp_path / "below", BASE.replace("reader: demo", "reader: csv\n  path: lists.csv"))
    path = write(
        tmp_path,
        "extends: below/r.yaml\nname: more\nencoders: {lyrics: {encoder: tfidf, field: lyrics}}\nbaselines: [ease]\n",
    )
    recipe = load(path)
    assert recipe.name == "more" and list(recipe.encoders) == ["lyrics", "audio"] and recipe.baselines == ["ease"]
    assert recipe.models == load(base).models and recipe.data.path == tmp_path / "below" / "lists.csv"
    with pytest.raises(RecipeError) as caught:
        load(write(tmp_path, "extends: below/r.yaml\nbaselines: [eas]\n"))
    assert str(caught.value).startswith(f"{path}:2: baselines.0='eas' is not a ranker")
    base.write_text(base.read_text().replace("hidden_size: 32", "hidden_size: 1"))
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{base}:9: models.0.hidden_size=1 must be")


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("r.yaml", "r.yaml:1: extends='r.yaml' must not lead back to this recipe: remove `extends`"),
        ("[a]", "r.yaml:1: extends=['a'] must be a path relative to this file: correct the path"),
        ("gone.yaml", "gone.yaml does not exist: pass the path of a recipe"),
    ],
)
def test_invalid_extends_raises(tmp_path: Path, extends: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(write(tmp_path, f"extends: {extends}\n"))
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_shared_yaml_mapping_is_completed_for_each_key_apart(tmp_path: Path) -> None:
    encoder = "encoder: tfidf, field: lyrics"
    (tmp_path / "base.yaml").write_text(
        "data: {reader: demo}\nbaselines: [popularity]\n"
        f"encoders:\n  a: {{{encoder}, params: {{min_tracks: 3}}}}\n  b: {{{encoder}}}\n"
    )
    over = write(tmp_path, "extends: base.yaml\nencoders:\n  a: {params: &wide {dim: 32}}\n  b: {params: *wide}\n")
    assert {name: spec.params for name, spec in load(over).encoders.items()} == {
        "a": {"dim": 32, "min_tracks": 3},
        "b": {"dim": 32},
    }


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_all_project_recipes_are_valid(path: Path) -> None:
    assert load(path, parameters=True).name

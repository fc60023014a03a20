"""Tests of the artist-level systems of Oramas et al. 2017 on planted content, between random and upper bound."""

from __future__ import annotations

import numpy as np
import pytest

from segue.checks.check_ranker import check_ranker
from tests.coldstart.planted_content import Planted, biographies, difference, modality, of_entities, plant, tags
from toolkit.errors import InputError

NETWORK = {"hidden": [32, 32], "epochs": 25, "lr": 3e-3, "batch": 16, "bf16": "off", "output": "prediction"}
WORDS = {
    "vector_dim": 16,
    "vector_epochs": 2,
    "filters": 12,
    "hidden": 32,
    "epochs": 25,
    "lr": 5e-3,
    "batch": 16,
    "bf16": "off",
}
MULTI_HOT = {"separator": ", ", "dim": 0, "idf": False}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def reached(planted: Planted) -> dict[str, np.ndarray]:
    """Return the AUC of every playlist by each system."""
    texts, listed = biographies(planted), tags(planted)
    systems = {
        "A-TEXT": ("predicted-factors", planted.learned("tfidf-mlp", texts, **NETWORK), {}),
        "A-W2V": ("predicted-factors", planted.learned("text-cnn", texts, **WORDS, output="prediction"), {}),
        "A-TAGS": ("predicted-factors", planted.learned("tfidf-mlp", listed, **NETWORK, separator=", "), {}),
        "TAGS-ITEMKNN": ("attribute-knn", planted.learned("tfidf", listed, **MULTI_HOT), {"neighbours": 30}),
        "TEXT-RF": ("random-forest", planted.learned("tfidf", texts, dim=0), {"trees": 30}),
    }
    return {
        name: planted.aucs(planted.fitted(ranker, made, **params)) for name, (ranker, made, params) in systems.items()
    }


@pytest.mark.parametrize("system", ["A-TEXT", "A-W2V", "A-TAGS", "TAGS-ITEMKNN", "TEXT-RF"])
def test_artist_systems_auc_is_between_random_and_upper_bound(
    system: str, planted: Planted, reached: dict[str, np.ndarray]
) -> None:
    assert difference(reached[system], planted.chance).low > 0
    assert difference(planted.bound, reached[system]).low > 0


def test_linked_entities_auc_is_above_words_alone(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("knowledge")
    texts, triples = of_entities(planted)
    (folder / "music.nt").write_text(triples, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(folder / "cache"))
        enrich = {"knowledge": str(folder / "music.nt")}
        semantic = planted.learned("tfidf-semantic-mlp", texts, **NETWORK, enrich=enrich)
    words = planted.learned("tfidf-mlp", texts, **NETWORK)
    a_sem, a_text = (planted.aucs(planted.fitted("predicted-factors", made)) for made in (semantic, words))
    assert difference(a_sem, a_text).low > 0.1
    assert difference(planted.bound, a_sem).low > 0


def test_shuffled_texts_have_auc_of_random_factors(planted: Planted) -> None:
    dealt = np.random.default_rng(1).permutation(biographies(planted)).tolist()
    found = planted.aucs(planted.fitted("predicted-factors", planted.learned("tfidf-mlp", dealt, **NETWORK)))
    assert abs(found.mean() - 0.5) < 0.1


def test_attribute_knn_equals_hand_computed_scores(planted: Planted) -> None:
    """The score of a new track is the number of seeds among its two nearest played tracks, as in MyMediaLite."""
    sets = np.zeros((len(planted.taste), 4))
    cold = int(np.flatnonzero(~planted.warm)[0])
    first, second, third = np.flatnonzero(planted.warm)[:3].tolist()
    sets[cold], sets[first], sets[second], sets[third] = [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1], [0, 1, 1, 1]
    ranker = planted.fitted("attribute-knn", modality(sets, present=sets.any(axis=1)), neighbours=2)
    from toolkit.corpus.queries import Queries

    queries = Queries.of([[first + 1], [first + 1, second + 1], [third + 1]])
    score = ranker.score(queries, np.array([cold + 1]))[:, 0]
    np.testing.assert_array_equal(score, [1, 2, -np.inf])


def test_forest_of_one_deep_tree_reproduces_training_factors(planted: Planted) -> None:
    columns = np.eye(6)[planted.kinds] + 0.0
    ranker = planted.fitted("random-forest", modality(columns), trees=200, columns=1.0, leaf=1)
    means = np.stack([planted.factors[planted.warm & (planted.kinds == kind)].mean(axis=0) for kind in range(6)])
    cold = ~planted.warm
    made, wanted = ranker.state["items"][1:][cold], means[planted.kinds[cold]]
    assert np.corrcoef(made.ravel(), wanted.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", ["attribute-knn", "random-forest"])
def test_artist_systems_pass_check_ranker(name: str, planted: Planted) -> None:
    from dataclasses import replace

    from tests.coldstart.planted_content import FACTORS
    from toolkit import plugins

    made = planted.learned("tfidf", tags(planted), **MULTI_HOT)
    params = {"trees": 5, "factors": FACTORS.model_dump()} if name == "random-forest" else {}
    check_ranker(
        lambda: plugins.load("segue.rankers", name)(**params),
        replace(planted.data, modalities={"tags": made}),
        planted.test,
    )


def test_unusable_modalities_raise_one_line_errors(planted: Planted) -> None:
    made = planted.learned("tfidf", tags(planted), **MULTI_HOT)
    with pytest.raises(InputError, match="random-forest requires exactly 1 modality, but 2 are set: set `modalities"):
        planted.fitted("random-forest", made, modality(made.matrix[1:], "more"))
    nobody = modality(made.matrix[1:], present=~planted.warm)
    with pytest.raises(InputError, match="requires training tracks with content, but there are 0"):
        planted.fitted("random-forest", nobody)
    with pytest.raises(InputError, match="requires training tracks that share attributes, but there are 0"):
        planted.fitted("attribute-knn", nobody)

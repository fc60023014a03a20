"""Texts to vectors with all-MiniLM-L6-v2: ours against `SentenceTransformer.encode` of sentence-transformers.

    python benchmarks/encode_text.py --texts ../shared/data/playlists-spa-large [--quick]

Texts are the different titles, artists and albums of a folder's tracks.csv.gz. Peer: the same weights under `encode`
with its defaults (32 texts a batch, sorted by length, float32), and with the best batch size of 32, 128 and 512. Check:
cosine of every text's two vectors, least and mean. Bar: 2x the defaults at cosine >= .999.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from toolkit.encoders.text.sentence_bert import SentenceBertEncoder, SentenceBertParams

COLUMNS = ("title", "name", "artist", "artists", "artist_name", "album", "album_name")


def texts(folder: Path, count: int) -> list[str]:
    """The first `count` different texts of a seeded shuffle."""
    table = csv.read_csv(folder / "tracks.csv.gz")
    columns = [table[name].cast(pa.string()) for name in COLUMNS if name in table.column_names]
    distinct = sorted({text for column in columns for text in column.unique().to_pylist() if text})
    return [distinct[place] for place in np.random.default_rng(0).permutation(len(distinct))[:count]]


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument("--texts", type=Path, required=True, metavar="DIR", help="a folder with tracks.csv.gz")
    options.add_argument("--count", type=int, help="texts; default: 2,000 with --quick, 20,000 without")
    options.add_argument("--repetitions", type=int, default=3)
    given = options.parse_args()
    common.start(given)
    from sentence_transformers import SentenceTransformer

    wanted = texts(given.texts, given.count or (2_000 if given.quick else 20_000))
    encoders = {
        name: SentenceBertEncoder(SentenceBertParams(bf16=name), device=given.device) for name in ("auto", "off")
    }
    peer = SentenceTransformer(str(encoders["off"].folder), device=given.device, local_files_only=True)

    def stock(size: int) -> np.ndarray:
        return np.asarray(peer.encode(wanted, batch_size=size, show_progress_bar=False))

    sides = {
        "ours": lambda: encoders["auto"].transform(wanted),
        "float32": lambda: encoders["off"].transform(wanted),
        "peer": lambda: stock(32),
        "peer-128": lambda: stock(128),
        "peer-512": lambda: stock(512),
    }
    theirs = stock(32)
    cosines = {name: _cosines(sides[name](), theirs) for name in ("ours", "float32")}
    assert cosines["ours"].min() >= 0.999, f"least cosine {cosines['ours'].min():.6f}"
    assert cosines["float32"].min() >= 0.99999, f"least cosine {cosines['float32'].min():.7f}"
    seconds = common.alternate(sides, repetitions=given.repetitions, device=given.device, warm=False, clock=given.clock)
    medians = {name: common.spread(taken)["median"] for name, taken in seconds.items()}
    common.report(
        "encode_text",
        given,
        ours=seconds["ours"],
        peer=seconds["peer"],
        check=f"cosine with the peer's vectors: least {cosines['ours'].min():.6f}, mean {cosines['ours'].mean():.6f};"
        f" in float32 least {cosines['float32'].min():.7f}",
        unit=f"seconds for {len(wanted):,} texts",
        bar=2,
        against="SentenceTransformer.encode, its defaults",
        bf16=encoders["auto"].bf16,
        ratio_float32=round(medians["peer"] / medians["float32"], 2),
        ratio_best_settings=round(
            min(medians[name] for name in medians if name.startswith("peer")) / medians["ours"], 2
        ),
        texts_per_second={name: round(len(wanted) / median) for name, median in medians.items()},
    )


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(1) / norms)


if __name__ == "__main__":
    main()

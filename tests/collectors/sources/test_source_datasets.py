"""Tests of the sources `musixmatch` and `msd-a`, which read dataset files."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from collectors.source import Absent, Ambiguous, Found, Request
from collectors.sources.msd_a import MsdA
from collectors.sources.musixmatch import Musixmatch
from segue.checks.check_source import check_source
from segue.checks.check_source import http as unlimited
from toolkit.errors import DataError, InputError

TRAIN = """\
# musiXmatch dataset, a comment
%i,the,you,mar,água
TRAAAAV128F421A322,4623710,1:3,2:1,5:2
TRAAABD128F429CF47,6477168,4:1
"""
TEST = """\
# another file with a list of its own
%amour,le
TRAABJV128F1460C49,1234567,2:2,1:1
"""
MATCHES = """\
# comment
TRAAAAV128F421A322<SEP>Mira Oss<SEP>Sea Above<SEP>4623710<SEP>Mira Oss<SEP>Sea Above
TRZZZZZ128F421A300<SEP>Mira Oss<SEP>Sea Above<SEP>1<SEP>Mira Oss<SEP>Sea Above
TRAABJV128F1460C49<SEP>فيروز<SEP>نسم علينا الهوى<SEP>1234567<SEP>فيروز<SEP>نسم علينا الهوى
"""


@pytest.fixture
def http():
    """Return a client with separate limits for each test."""
    with unlimited() as client:
        yield client


@pytest.fixture(scope="module")
def words(tmp_path_factory) -> dict[str, Path | list[Path]]:
    folder = tmp_path_factory.mktemp("mxm")
    (folder / "mxm_dataset_train.txt").write_text(TRAIN)
    (folder / "mxm_dataset_test.txt.gz").write_bytes(gzip.compress(TEST.encode()))
    (folder / "mxm_779k_matches.txt").write_text(MATCHES)
    return {
        "paths": [folder / "mxm_dataset_train.txt", folder / "mxm_dataset_test.txt.gz"],
        "matches": folder / "mxm_779k_matches.txt",
    }


def lyrics(track: str = "local:1", title: str | None = None, artist: str | None = None) -> Request:
    return Request("track", track, ("lyrics",), title=title, artists=(artist,) if artist else ())


def test_lyrics_repeat_words_by_count(words, http, tmp_path):
    source = Musixmatch(Musixmatch.Params(**words))
    with source.opened(tmp_path):
        by_id = source.collect(lyrics("msd:TRAAAAV128F421A322"), http)
        by_name = source.collect(lyrics(title="Sea above", artist="mira oss"), http)
        other_file = source.collect(lyrics(title="نسم علينا الهوى", artist="فيروز"), http)
        assert isinstance(source.collect(lyrics("msd:TRAAAAV128F421A399"), http), Absent)
        assert isinstance(source.collect(lyrics(title="Unheard of", artist="Mira Oss"), http), Absent)
        assert isinstance(source.collect(lyrics("spotify:track:TRAAAAV128F421A322x"), http), Absent)
    assert by_id.values == by_name.values == {"lyrics": "i i i the água água"}
    assert other_file.values == {"lyrics": "le le amour"}


def test_musixmatch_and_msd_a_pass_the_contract(words, msd_a):
    known = lyrics("msd:TRAAABD128F429CF47")
    assert check_source(Musixmatch, words, known=known, unknown=lyrics(title="No", artist="One")).values == {
        "lyrics": "mar"
    }
    about = Request("artist", "msd:AR002UA1187B9A637D", ("biography", "artist_tags"))
    check_source(MsdA, msd_a, known=about, unknown=Request("artist", "m:1", ("biography",), artists=("Nobody",)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TRAAAAV128F421A322,4623710,1:3\n", r":1 is 'TR.* and must be `TID,MXMID,index:count"),
        ("%a,b\nTRAAAAV128F421A322,4623710,3:1\n", r":2 is 'TR.* and must be"),
        ("%a,b\nTRAAAAV128F421A322,4623710,1;2\n", r":2 is 'TR.* and must be"),
        ("# nothing\n", "must have a list of words"),
    ],
)
def test_malformed_musixmatch_line_raises_with_line_number(tmp_path, text, message):
    path = tmp_path / "mxm.txt"
    path.write_text(text)
    with (
        pytest.raises(DataError, match=message),
        Musixmatch(Musixmatch.Params(paths=[path])).opened(tmp_path / "index"),
    ):
        pass
    with (
        pytest.raises(InputError, match="cannot be read"),
        Musixmatch(Musixmatch.Params(paths=[tmp_path / "none"])).opened(tmp_path / "index"),
    ):
        pass


MBID = "5b11f4ce-a62d-471e-81fc-a69a8278c7da"


@pytest.fixture(scope="module")
def msd_a(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("msd-a")
    (folder / "bios.tsv").write_text(
        "AR002UA1187B9A637D\tMira Oss sings of harbours.\nAR003FB1187B994355\t\nARTWINA1187B994355\tA twin.\n"
    )
    (folder / "tags.tsv").write_text(
        "AR002UA1187B9A637D\tfolk\t3\nAR002UA1187B9A637D\tseen, live\t10\nAR003FB1187B994355\tpop\t1\n"
    )
    (folder / "unique_artists.txt").write_text(
        f"AR002UA1187B9A637D<SEP>{MBID}<SEP>TRAAAAV128F421A322<SEP>Mira Oss\n"
        "ARTWINA1187B994355<SEP><SEP>TRAAABD128F429CF47<SEP>The Twins\n"
        "ARTWINB1187B994355<SEP><SEP>TRAAABD128F429CF47<SEP>the twins\n"
    )
    return {"biographies": folder / "bios.tsv", "tags": folder / "tags.tsv", "artists": folder / "unique_artists.txt"}


def artist(key: str = "m:1", *, name: str | None = None, mbid: str | None = None) -> Request:
    return Request(
        "artist", key, ("biography", "artist_tags"), {"mbid": mbid} if mbid else {}, artists=(name,) if name else ()
    )


def test_artists_are_found_by_id_mbid_or_unique_name(msd_a, http, tmp_path):
    source = MsdA(MsdA.Params(**msd_a))
    with source.opened(tmp_path):
        answers = [
            source.collect(request, http)
            for request in (artist("msd:AR002UA1187B9A637D"), artist(mbid=MBID), artist(name="MIRA OSS"))
        ]
        twins = source.collect(artist(name="The Twins"), http)
        tags = source.collect(artist("msd:AR003FB1187B994355"), http)
        assert isinstance(source.collect(artist(name="Nobody"), http), Absent)
    for answer in answers:
        assert answer.values == {"biography": "Mira Oss sings of harbours.", "artist_tags": "seen  live, folk"}
    assert isinstance(twins, Ambiguous) and twins.note == "2 artists of this name" and not twins.values
    assert isinstance(tags, Found) and tags.values == {"artist_tags": "pop"}


def test_biographies_are_read_from_folder_and_archive(http, tmp_path):
    folder = tmp_path / "bios"
    folder.mkdir()
    (folder / "AR002UA1187B9A637D.txt").write_text("Mira Oss.\nShe sings.\n")
    packed = tmp_path / "bios.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder / "AR002UA1187B9A637D.txt", "bios/AR002UA1187B9A637D.txt")
    for path in (folder, packed):
        source = MsdA(MsdA.Params(biographies=path))
        with source.opened(tmp_path / "index"):
            answer = source.collect(artist("msd:AR002UA1187B9A637D"), http)
        assert answer.values == {"biography": "Mira Oss.\nShe sings."}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("biographies", "no tab here\n", ":1 is 'no tab here' and must be `id<TAB>biography`"),
        ("tags", "AR1\tfolk\tlots\n", ":1 is 'AR1.* and must be `id<TAB>tag`"),
        ("artists", "AR1<SEP>Mira\n", ":1 is 'AR1<SEP>Mira' and must be `artist<SEP>mbid<SEP>track<SEP>name`"),
    ],
)
def test_malformed_msd_a_line_raises_with_line_number(msd_a, tmp_path, name, text, message):
    path = tmp_path / "table"
    path.write_text(text)
    with pytest.raises(DataError, match=message), MsdA(MsdA.Params(**msd_a | {name: path})).opened(tmp_path / "index"):
        pass

"""Tests of RDF files read as a stream, against rdflib and handwritten triples."""

from __future__ import annotations

import bz2
import gzip

import pytest

from segue_papers.enrichment import rdf_triples
from segue_papers.enrichment.rdf_triples import Triple, parse, read
from tests.papers.enrichment.music_knowledge import NT, TTL
from toolkit.errors import DataError, InputError


def by_rdflib(content, form):
    import rdflib

    return {
        (str(s), str(p), str(o), not isinstance(o, rdflib.Literal), (getattr(o, "language", None) or ""))
        for s, p, o in rdflib.Graph().parse(data=content, format=form)
    }


PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress}


@pytest.mark.parametrize("ending", [".nt", ".nt.gz", ".nt.bz2", ".ttl", ".ttl.bz2"])
def test_n_triples_equal_rdflib(ending, tmp_path, monkeypatch):
    path = tmp_path / f"music{ending}"
    path.write_bytes(PACKERS.get(path.suffix, bytes)(NT.encode()))
    monkeypatch.setattr(rdf_triples, "_turtle", None)  # DBpedia's .ttl dumps are N-Triples, and larger than memory
    found = list(read(path))
    assert len(found) == len(set(found)) == 26
    assert {tuple(triple) for triple in found} == by_rdflib(NT, "nt")


@pytest.mark.parametrize("ending", [".ttl", ".turtle", ".ttl.gz"])
def test_turtle_files_are_read(ending, tmp_path):
    path = tmp_path / f"music{ending}"
    path.write_bytes(gzip.compress(TTL.encode()) if ending.endswith(".gz") else TTL.encode())
    assert {tuple(triple) for triple in read(path)} == by_rdflib(TTL, "turtle")


@pytest.mark.parametrize(
    ("line", "triple"),
    [
        ("<a:s> <a:p> <a:o> .", Triple("a:s", "a:p", "a:o", True, "")),
        ('<a:s><a:p>"x"@en-GB.', Triple("a:s", "a:p", "x", False, "en-gb")),
        ('<a:s>\t<a:p> "5"^^<a:int> . # five', Triple("a:s", "a:p", "5", False, "")),
        ("_:b1 <a:p> _:b2 .", Triple("_:b1", "a:p", "_:b2", True, "")),
        (r'<a:s> <a:p> "a\tb\"c\\d\u00e9\U0001F3B5" .', Triple("a:s", "a:p", 'a\tb"c\\dé🎵', False, "")),
        (r"<a:caf\u00e9> <a:p> <a:o> .", Triple("a:café", "a:p", "a:o", True, "")),
        ('<a:s> <a:p> "" .', Triple("a:s", "a:p", "", False, "")),
        ("", None),
        ("  # comment", None),
    ],
)
def test_parse_returns_the_triple_in_a_line(line, triple):
    assert parse(line) == triple


@pytest.mark.parametrize(
    "line",
    [
        "<a:s> <a:p> <a:o>",
        "<a:s> <a:p> .",
        '<a:s> "p" <a:o> .',
        '<a:s> <a:p> "open .',
        "<a s> <a:p> <a:o> .",
        r'<a:s> <a:p> "\x" .',
        r'<a:s> <a:p> "\uD800" .',
        "@prefix dbr: <a:> .",
        '"s" <a:p> <a:o> .',
    ],
)
def test_parsing_a_line_without_a_triple_raises_value_error(line):
    with pytest.raises(ValueError):
        parse(line)


def test_few_invalid_lines_raise_a_warning(tmp_path):
    path = tmp_path / "long.nt"
    path.write_text("<a:s> <a:p> <a:o> .\n" * 150 + "<a:s> <a bad> <a:o> .\n" + "<a:s> <a:p> <a:o> .\n" * 49)
    with pytest.warns(
        RuntimeWarning, match=r"1 of 200 lines are not N-Triples and are skipped \(line 151 is <a:s> <a bad> <a:o> \.\)"
    ):
        assert len(list(read(path))) == 199


def test_unknown_or_damaged_rdf_file_raises_error(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    with pytest.raises(DataError, match=r"3 of 7 lines are not N-Triples|lines are not N-Triples \(line 1 is @prefix"):
        list(read(written("turtle.nt", TTL.encode())))
    with pytest.raises(DataError, match=r"is not Turtle \(") as caught:
        list(read(written("broken.ttl", b"dbr:Nobody a dbo:Band .")))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="is damaged"):
        list(read(written("cut.nt.gz", gzip.compress(NT.encode() * 50)[:-20])))
    with pytest.raises(DataError, match="is damaged"):
        list(read(written("cut.nt.bz2", bz2.compress(NT.encode() * 50)[:-20])))
    with pytest.raises(DataError, match="is damaged .Invalid data stream"):
        list(read(written("other.nt.bz2", b"BZh9 not at all bz2, whatever it says")))
    with pytest.raises(InputError, match=r"music.json must end in .nt or .ttl"):
        list(read(written("music.json", b"{}")))
    with pytest.raises(InputError, match=r"nowhere.nt must be a file"):
        list(read(tmp_path / "nowhere.nt"))

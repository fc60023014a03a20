"""A knowledge base's dump into SQLite, and biographies linked against it: triples a second, texts a second, peak
memory.

    python benchmarks/knowledge_base.py --triples 10000000

The dump is made up: N-Triples with DBpedia's shapes (types, labels in two languages, redirects, properties, categories,
abstracts with escapes), written to a temporary folder. Reading and linking run in a process of their own, whose peak is
the figure; bar 2 GB for 10 M triples. There is no peer: rdflib keeps its graph in memory. Check: every planted name is
found. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import common  # isort: skip

DBR, DBO = "http://dbpedia.org/resource/", "http://dbpedia.org/ontology/"
RDF, RDFS = "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://www.w3.org/2000/01/rdf-schema#"
CLASSES = ("MusicalArtist", "Band", "MusicGenre", "MusicalWork", "RecordLabel", "Place", "Insect", "Film")
ABSTRACT = "Caf\\u00E9 and more of it. " * 20
PER_ENTITY = 20
BAR_GB = 2.0
TEXTS = 1000


def syllables(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("bdfgklmnprstv") + rng.choice("aeiou") for _ in range(n)).capitalize()


def entity(number: int) -> tuple[str, str]:
    """Name and class of an entity, the same whenever asked."""
    rng = random.Random(number)
    words = [syllables(rng, rng.randint(2, 4)) for _ in range(rng.randint(1, 3))]
    return f"{' '.join(words)} {number}", CLASSES[number % len(CLASSES)]


def lines(entities: int) -> Iterator[str]:
    """20 triples an entity."""
    names = [entity(number)[0] for number in range(entities)]
    rng = random.Random(0)
    for number, name in enumerate(names):
        kind = CLASSES[number % len(CLASSES)]
        iri = f"{DBR}{name.replace(' ', '_')}"
        yield f"<{iri}> <{RDF}type> <{DBO}{kind}> ."
        yield f"<{iri}> <{RDF}type> <http://www.w3.org/2002/07/owl#Thing> ."
        yield f'<{iri}> <{RDFS}label> "{name}"@en .'
        yield f'<{iri}> <{RDFS}label> "{name} (de)"@de .'
        yield f"<{DBR}The_{name.replace(' ', '_')}> <{DBO}wikiPageRedirects> <{iri}> ."
        yield f'<{iri}> <{DBO}abstract> "{name} is \\"{kind}\\". {ABSTRACT}"@en .'
        for of in (
            "genre",
            "hometown",
            "recordLabel",
            "country",
            "associatedBand",
            "wikiPageWikiLink",
            "wikiPageWikiLink",
        ):
            yield f"<{iri}> <{DBO}{of}> <{DBR}{names[rng.randrange(entities)].replace(' ', '_')}> ."
        for _ in range(4):
            category = f"{DBR}Category:{syllables(rng, 2)}_{rng.randrange(5000)}"
            yield f"<{iri}> <http://purl.org/dc/terms/subject> <{category}> ."
        for of in ("activeYearsStartYear", "wikiPageID", "wikiPageLength"):
            yield f'<{iri}> <{DBO}{of}> "{rng.randrange(10**6)}"^^<http://www.w3.org/2001/XMLSchema#integer> .'


def biographies(entities: int) -> list[tuple[str, str]]:
    """Texts of about 150 words, each with the name of an entity of a musical class that it must lead to."""
    rng = random.Random(1)
    out = []
    for _ in range(TEXTS):
        number = rng.randrange(entities // 8) * 8 + rng.randrange(2)
        filler = [syllables(rng, 2).lower() if rng.random() < 0.8 else syllables(rng, 3) for _ in range(150)]
        name = entity(number)[0]
        out.append((f"{' '.join(filler[:75])}, {name}. {' '.join(filler[75:])}", f"{DBR}{name.replace(' ', '_')}"))
    return out


def measure(dump: Path, entities: int) -> dict[str, float]:
    """In this process: build, then link; seconds of processor time, and the peak of memory."""
    from segue_papers.enrichment.enrichment_params import Enrichment

    begin = time.process_time()
    enricher = Enrichment(knowledge=[dump]).enricher()
    enricher.knowledge.prepare()
    built = time.process_time()
    texts = biographies(entities)
    start = time.process_time()
    found = [enricher.mentions([text])[0] for text, _ in texts]
    linked = time.process_time()
    enricher.terms([text for text, _ in texts])
    missed = sum(
        iri not in {mention.entity for mention, _ in mentions} for mentions, (_, iri) in zip(found, texts, strict=True)
    )
    about = enricher.knowledge.about()  # type: ignore[attr-defined]
    return {
        "build": built - begin,
        "link": linked - start,
        "terms": time.process_time() - linked,
        "missed": missed,
        "read": int(about["read"]),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "store_gb": enricher.knowledge.path.stat().st_size / 1e9,  # type: ignore[attr-defined]
    }


def main() -> None:
    options = common.parser(__doc__)
    options.add_argument(
        "--triples", type=int, default=10_000_000, metavar="N", help="approximate number (default: 10,000,000)"
    )
    options.add_argument("--measure", type=Path, help=common.argparse.SUPPRESS)
    given = options.parse_args()
    entities = (1_000_000 if given.quick else given.triples) // PER_ENTITY
    if given.measure is not None:
        print(json.dumps(measure(given.measure, entities)))
        return
    common.start(given)
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:
        dump = Path(folder) / "dump.nt"
        with dump.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines(entities))
        size = dump.stat().st_size / 1e9
        print(f"{entities:,} entities, {size:.2f} GB of N-Triples", flush=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(dump)]
        run = subprocess.run(
            command, env=os.environ | {"SEGUE_CACHE": folder}, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise SystemExit(run.stderr)
        found = json.loads(run.stdout.splitlines()[-1])
    common.report(
        "knowledge_base",
        given,
        ours=[found["build"]],
        peer=None,
        check=f"{TEXTS - found['missed']:,.0f} of {TEXTS:,} planted names found",
        triples=int(found["read"]),
        triples_per_second=round(found["read"] / found["build"]),
        texts_linked_per_second=round(TEXTS / found["link"]),
        peak_gb=round(found["peak_gb"], 3),
        bar_gb=BAR_GB,
        dump_gb=round(size, 3),
        store_gb=round(found["store_gb"], 3),
    )


if __name__ == "__main__":
    main()

"""Small knowledge base of invented music, and a web server that imitates the real services."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

DBR, DBO = "http://dbpedia.org/resource/", "http://dbpedia.org/ontology/"

NT = f"""\
# started
<{DBR}Tidewater_(band)> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}Band> .
<{DBR}Tidewater_(band)> <http://www.w3.org/2000/01/rdf-schema#label> "Tidewater"@en .
<{DBR}Tidewater_(band)> <{DBO}genre> <{DBR}Indie_rock> .
<{DBR}Tidewater_(band)> <{DBO}genre> <{DBR}Sea_shanty> .
<{DBR}Tidewater_(band)> <{DBO}hometown> <{DBR}Norwick> .
<{DBR}Tidewater_(band)> <{DBO}abstract> "not of a chosen property"@en .
<{DBR}Tidewater_(band)> <http://purl.org/dc/terms/subject> <{DBR}Category:Norwick_musical_groups> .
<{DBR}Tidewater_Lake> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}Lake> .
<{DBR}Tidewater_Lake> <http://www.w3.org/2000/01/rdf-schema#label> "Tidewater"@en .
<{DBR}The_Tidewaters> <{DBO}wikiPageRedirects> <{DBR}Tidewater_(band)> .
<{DBR}Indie_rock> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}MusicGenre> .
<{DBR}Indie_rock> <http://www.w3.org/2000/01/rdf-schema#label> "indie rock"@en .
<{DBR}Indie_rock> <http://www.w3.org/2000/01/rdf-schema#label> "Indépendant"@fr .
<{DBR}Indie_rock> <{DBO}stylisticOrigin> <{DBR}Post-punk> .
<{DBR}Ann_Rów> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}MusicalArtist> .
<{DBR}Ann_Rów> <http://xmlns.com/foaf/0.1/name> "Ann R\\u00F3w" .
<{DBR}Ann_Rów> <{DBO}instrument> <{DBR}Banjo> .
<{DBR}Ann_Rów> <{DBO}birthPlace> <{DBR}Norwick> .
<{DBR}Ann_Rów> <{DBO}occupation> "singer, \\"poet\\""@en .
<{DBR}Norwick> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}City> .
<{DBR}Norwick> <{DBO}country> <{DBR}Farland> .
<{DBO}City> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{DBO}Settlement> .
<{DBO}Settlement> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{DBO}Place> .
<{DBO}Place> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{DBO}Settlement> .
<{DBR}Love_(virtue)> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}Concept> .

<{DBR}Banjo> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{DBO}Instrument> . # a comment
"""

TTL = f"""\
@prefix dbr: <{DBR}> .
@prefix dbo: <{DBO}> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
dbr:Norwick a dbo:City ; dbo:country dbr:Farland .
dbr:Indie_rock a dbo:MusicGenre ; rdfs:label "indie rock"@en, "Indépendant"@fr ; dbo:stylisticOrigin dbr:Post-punk .
<{DBR}Tidewater_(band)> a dbo:Band ; rdfs:label "Tidewater"@en ; dbo:genre dbr:Indie_rock ;
    dct:subject <{DBR}Category:Norwick_musical_groups> .
"""

BIOGRAPHIES = [
    "Tidewater play indie rock in Norwick.",
    "Ann Rów was born in Norwick, and plays the banjo with The Tidewaters.",
    "Somebody else, of nowhere, sings of love.",
    "A banjo player. In love with indie rock! Tidewater fans know.",
    "",
]


class Answers:
    """Server with a record of its requests.

    - say: function from path and form of a request to status, headers and body.
    """

    def __init__(self, say: Callable[[str, dict[str, str]], tuple[int, dict[str, str], bytes]]) -> None:
        self.say, self.requests, self.url = say, list[dict[str, str]](), ""


@contextmanager
def serving(say: Callable[[str, dict[str, str]], tuple[int, dict[str, str], bytes]]) -> Iterator[Answers]:
    """Run a local web server during a test."""
    answers = Answers(say)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            answers.requests.append(form)
            status, headers, content = answers.say(self.path, form)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    answers.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def spotlight(_: str, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Return two mentions in the format of DBpedia Spotlight."""
    known = {"Tidewater": f"{DBR}Tidewater_(band)", "indie rock": f"{DBR}Indie_rock"}
    found = [
        {
            "@URI": known[name],
            "@support": "12",
            "@types": "",
            "@surfaceForm": name,
            "@offset": str(at.start()),
            "@similarityScore": "0.99",
        }
        for name in known
        for at in re.finditer(name, form["text"])
    ]
    answer: dict[str, Any] = {"@text": form["text"], "@confidence": form["confidence"]}
    return (
        200,
        {"Content-Type": "application/json"},
        json.dumps(answer | ({"Resources": found} if found else {})).encode(),
    )


class Endpoint:
    """SPARQL endpoint over N-Triples with queries evaluated by rdflib."""

    def __init__(self, content: str = NT) -> None:
        import rdflib

        self.graph = rdflib.Graph().parse(data=content, format="nt")

    def __call__(self, _: str, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (
            200,
            {"Content-Type": "application/sparql-results+json"},
            self.graph.query(form["query"]).serialize(format="json"),
        )

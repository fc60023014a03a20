"""Cleaning of texts before they are encoded: one chain of visible steps, each of which can be switched.

artefacts -> dropped_g -> misspellings -> stop_words -> low_idf. The first three keep sentences whole; the last two take
words out and are for encoders that count or average words. `low_idf` alone learns, from the texts that an encoder is
fitted on. `segue encoders preview` shows what each step does to texts of a catalogue.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Self

from pydantic import Field, model_validator

from toolkit.encoders.text.cleaning_words import KEEP_IN, SPELLINGS, STOP_WORDS
from toolkit.parameters import Parameters

LOW_IDF = 1.5
"""idf under which `clean: true` drops a word: it is in more than about 61 % of the texts. The paper gives no threshold: ours."""

Step = tuple[str, Callable[[str], str]]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SECTION = (
    r"(?:intro|outro|verse|chorus|pre[- ]?chorus|post[- ]?chorus|refrain|hook|bridge|interlude|instrumental|break|breakdown|drop|solo|skit|"
    r"part|spoken|sample|build|coda|guitar solo|verso|coro|pre[- ]?coro|estribillo|puente|refr[aã]o|ponte|couplet|pont|strophe)"
)
_ARTEFACTS = [
    # "12 ContributorsTranslationsEspañolTitle Lyrics", with what some pages put behind it
    (r"\A\s*\d[\d,.]*\s*Contributors?(?:[^\n]*?Lyrics(?=\s*(?:\[|$))|[^\n]*?Lyrics(?:[^\n]*?Read More)?)", ""),
    (r"\A[^\n\[\]]{1,200}? Lyrics[ \t]*(?=\[|$)", ""),  # "Title Lyrics" alone on the first line
    (r"See [^\n]{1,80}? Live\s*Get tickets as low as \$\d+", "\n"),
    (r"You might also like", "\n"),
    (r"(?:\d[\d.,]*[KM]?)?Embed(?:\s*Share\s*URL\s*Copy\s*Embed\s*Copy)?\s*\Z", ""),
    (r"\*{3,}\s*This Lyrics is NOT for Commercial use\s*\*{3,}(?:\s*\(\d+\))?", ""),
    (r"^[ \t]*(?:\[\d+:\d+(?:[.:]\d+)?\])+", ""),  # time tags of .lrc files
    (rf"\[\s*(?i:{_SECTION})\b[^\[\]\n]*\]", "\n"),
    (r"^[ \t]*\[[^\[\]\n]*\][ \t]*$", ""),
    (rf"^[ \t]*\(?(?i:{_SECTION})(?:[ \t]*\d+)?(?:[ \t]*[x×][ \t]*\d+)?\)?[ \t]*:?[ \t]*$", ""),
    (r"[ \t]*[(\[][ \t]*(?:[x×][ \t]*\d+|\d+[ \t]*[x×])[ \t]*[)\]]", ""),
]
_PATTERNS = [(re.compile(pattern, re.MULTILINE), put) for pattern, put in _ARTEFACTS]
_DROPPED_G = re.compile(r"(?<![\w'’‘])([^\W\d_]*[aeiouy][^\W\d_]*(?<!a)in)['’](?![\w'’])", re.IGNORECASE)
_ELISION = re.compile(r"(?<!\w)['’‘]?[^\W_]+(?:['’][^\W_]+)*")


class SentenceCleaning(Parameters):
    """Steps that keep sentences whole. artefacts: headers, section tags, counters and links of lyric sites.

    dropped_g: singin' -> singing. misspellings: common spoken and wrong spellings in full.
    `clean: true` and `clean: false` in a recipe switch every step.
    """

    artefacts: bool = False
    dropped_g: bool = False
    misspellings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _all_or_none(cls, value: Any) -> Any:
        if not isinstance(value, bool):
            return value
        return {name: (LOW_IDF if value else None) if name == "low_idf" else value for name in cls.model_fields}


class Cleaning(SentenceCleaning):
    """Also steps that take words out. stop_words: true for English, or a list of words.

    low_idf: words with ln((1 + n) / (1 + df)) + 1 below it, over the n texts fitted on, are dropped.
    """

    stop_words: bool | list[str] = False
    low_idf: float | None = Field(None, ge=1)


class LyricsCleaning(Cleaning):
    """All steps, as lyrics are cleaned before word vectors are averaged."""

    artefacts: bool = True
    dropped_g: bool = True
    misspellings: bool = True
    stop_words: bool | list[str] = True
    low_idf: float | None = Field(LOW_IDF, ge=1)


class Cleaner:
    """The chain that `wanted` asks for. common: words that `fit` found too common, in lower case, sorted."""

    def __init__(self, wanted: SentenceCleaning, common: Iterable[str] = ()) -> None:
        self.wanted = wanted
        self.common = sorted(common)
        self.steps = self._steps()

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn which words are too common in `texts`; returns at once where no step learns."""
        limit = getattr(self.wanted, "low_idf", None)
        if limit is not None:
            self.common = []
            self.steps = self._steps()
            self.common = common_words((self(text) for text in texts), limit)
            self.steps = self._steps()
        return self

    def __call__(self, text: str) -> str:
        for _, step in self.steps:
            text = step(text)
        return text

    def trace(self, text: str) -> list[tuple[str, str]]:
        """The text after each step, with the step's name."""
        out = []
        for name, step in self.steps:
            text = step(text)
            out.append((name, text))
        return out

    def _steps(self) -> list[Step]:
        wanted = self.wanted
        stops = getattr(wanted, "stop_words", False)
        chain: list[tuple[str, bool, Callable[[str], str]]] = [
            ("artefacts", wanted.artefacts, without_artefacts),
            ("dropped_g", wanted.dropped_g, with_final_g),
            ("misspellings", wanted.misspellings, spelled_out),
            (
                "stop_words",
                bool(stops),
                partial(without_words, words=STOP_WORDS if stops is True else lowered(stops or ())),
            ),
            (
                "low_idf",
                getattr(wanted, "low_idf", None) is not None,
                partial(without_words, words=frozenset(self.common)),
            ),
        ]
        return [(name, step) for name, on, step in chain if on]


def without_artefacts(text: str) -> str:
    """A lyric without what its site put around and into it."""
    for pattern, put in _PATTERNS:
        text = pattern.sub(put, text)
    return tidied(text)


def with_final_g(text: str) -> str:
    """singin' -> singing, GOIN' -> GOING; names and words like cabin stay."""

    def whole(match: re.Match[str]) -> str:
        word = match[1]
        if word.lower() in KEEP_IN:
            return match[0]
        return word + ("G" if word.isupper() else "g")

    return _DROPPED_G.sub(whole, text)


def spelled_out(text: str) -> str:
    """gonna -> going to, luv -> love, 'cause -> because; capitals stay."""

    def right(match: re.Match[str]) -> str:
        word = match[0]
        found = SPELLINGS.get(word.lower().replace("’", "'").replace("‘", "'"))
        if found is None:
            return word
        letters = word.strip("'’‘")
        return (
            found.upper()
            if letters.isupper() and len(letters) > 1
            else found.capitalize()
            if letters[0].isupper()
            else found
        )

    return _ELISION.sub(right, text)


def without_words(text: str, *, words: frozenset[str]) -> str:
    """The text less every word that is in `words`, whatever its case."""
    if not words:
        return text
    return tidied(_WORD.sub(lambda match: "" if match[0].lower().replace("’", "'") in words else match[0], text))


def common_words(texts: Iterable[str], limit: float) -> list[str]:
    """Words whose ln((1 + n) / (1 + df)) + 1 over n texts is below `limit`, in lower case, sorted."""
    frequency: Counter[str] = Counter()
    n = 0
    for text in texts:
        n += 1
        frequency.update({word.lower().replace("’", "'") for word in _WORD.findall(text)})
    return sorted(word for word, df in frequency.items() if math.log((1 + n) / (1 + df)) + 1 < limit)


def lowered(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower().replace("’", "'") for word in words)


def tidied(text: str) -> str:
    """No space at the ends of lines, none doubled, and no more than one empty line."""
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()

"""Text cleaning before encoding, a chain of steps that can be switched on or off.

The order is artefacts -> dropped_g -> misspellings -> stop_words -> low_idf. The first three steps keep sentences
whole. The last two remove words and are meant for encoders that count or average words. Only `low_idf` is fitted, on
the training texts of an encoder. `segue encoders preview` shows the effect of each step on texts of a catalogue.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from toolkit.encoders.text.cleaning_words import KEEP_IN, SPELLINGS, STOP_WORDS
from toolkit.parameters import Parameters

LOW_IDF = 1.5
"""idf below which `clean: true` drops a word, which is then in more than about 61 % of the texts.

The paper gives no threshold.
"""

Step = tuple[str, Callable[[str], str]]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SECTION = (
    r"(?:intro|outro|verse|chorus|pre[- ]?chorus|post[- ]?chorus|refrain|hook|bridge|interlude|instrumental|break"
    r"|breakdown|drop|solo|skit|part|spoken|sample|build|coda|guitar solo|verso|coro|pre[- ]?coro|estribillo|puente"
    r"|refr[aã]o|ponte|couplet|pont|strophe)"
)
# Every pattern takes linear time on any text: a match starts only at the beginning of a run, or has a maximum length.
_ARTEFACTS = [
    # "12 ContributorsTranslationsEspañolTitle Lyrics", with what some pages add to it
    (r"\A\s*\d[\d,.]*\s*Contributors?(?:[^\n]*?Lyrics(?=\s*(?:\[|$))|[^\n]*?Lyrics(?:[^\n]*?Read More)?)", ""),
    (r"\A[^\n\[\]]{1,200}? Lyrics[ \t]*(?=\[|$)", ""),  # "Title Lyrics" alone on the first line
    (r"See [^\n]{1,80}? Live\s*Get tickets as low as \$\d+", "\n"),
    (r"You might also like", "\n"),
    (r"(?:\d[\d.,]{0,15}+[KM]?)?Embed(?:\s*Share\s*URL\s*Copy\s*Embed\s*Copy)?\s*\Z", ""),
    (r"(?<!\*)\*{3,}+\s*+This Lyrics is NOT for Commercial use\s*+\*{3,}+(?:\s*\(\d+\))?", ""),
    (r"^[ \t]*(?:\[\d+:\d+(?:[.:]\d+)?\])+", ""),  # time tags of .lrc files
    (rf"\[\s*(?i:{_SECTION})\b[^\[\]\n]*\]", "\n"),
    (r"^[ \t]*\[[^\[\]\n]*\][ \t]*$", ""),
    (rf"^[ \t]*\(?(?i:{_SECTION})(?:[ \t]*\d++)?(?:[ \t]*[x×][ \t]*\d++)?\)?[ \t]*+(?::[ \t]*+)?$", ""),
    (r"(?<![ \t])[ \t]*+[(\[][ \t]*+(?:[x×][ \t]*+\d++|\d++[ \t]*+[x×])[ \t]*[)\]]", ""),
]
_PATTERNS = [(re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in _ARTEFACTS]
_DROPPED_G = re.compile(
    # a word with a vowel before its last letters -in, but not -ain
    r"(?<![\w'’‘])([^\W\d_aeiouy]*+[aeiouy][^\W\d_]{2,}+(?<=in)(?<!ain))['’](?![\w'’])",
    re.IGNORECASE,
)
_ELISION = re.compile(r"(?<!\w)['’‘]?[^\W_]+(?:['’][^\W_]+)*")


class SentenceCleaning(Parameters):
    """Cleaning steps that keep sentences whole. `clean: true` and `clean: false` in a recipe switch every step.

    - artefacts: remove headers, section tags, counters and links of lyric sites.
    - dropped_g: restore a dropped final g, singin' -> singing.
    - misspellings: expand common spoken and wrong spellings.
    """

    artefacts: bool = False
    dropped_g: bool = False
    misspellings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _all_or_none(cls, value: object) -> object:
        if not isinstance(value, bool):
            return value
        return {name: (LOW_IDF if value else None) if name == "low_idf" else value for name in cls.model_fields}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler.resolve_ref_schema(handler(schema))
        steps = dict(whole)
        whole.clear()
        whole.update({"anyOf": [{"type": "boolean"}, steps]})
        return whole


class Cleaning(SentenceCleaning):
    """Cleaning steps that may also remove words.

    - stop_words: true for English stop words, or a list of words.
    - low_idf: lower limit for ln((1 + n) / (1 + df)) + 1 over the n training texts. Words below the limit are removed.
    """

    stop_words: bool | list[str] = False
    low_idf: float | None = Field(None, ge=1)


class LyricsCleaning(Cleaning):
    """All cleaning steps, for lyrics whose word vectors are averaged."""

    artefacts: bool = True
    dropped_g: bool = True
    misspellings: bool = True
    stop_words: bool | list[str] = True
    low_idf: float | None = Field(LOW_IDF, ge=1)


class Cleaner:
    """Chain of cleaning steps with given settings.

    - common: words that `fit` classified as too common, in lower case, sorted.
    """

    def __init__(self, settings: SentenceCleaning, common: Iterable[str] = ()) -> None:
        self.settings = settings
        self._set(common)

    @property
    def fits(self) -> bool:
        """Whether a step is fitted."""
        return isinstance(self.settings, Cleaning) and self.settings.low_idf is not None

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn which words in `texts` are too common. Returns at once if no step is fitted."""
        if isinstance(self.settings, Cleaning) and self.settings.low_idf is not None:
            self._set(())
            self._set(common_words((self(text) for text in texts), self.settings.low_idf))
        return self

    def _set(self, common: Iterable[str]) -> None:
        self.common = sorted(common)
        self.steps = self._steps()

    def __call__(self, text: str) -> str:
        for _, step in self.steps:
            text = step(text)
        return text

    def trace(self, text: str) -> list[tuple[str, str]]:
        """Return the name of each step and the text after the step."""
        return [(name, text := step(text)) for name, step in self.steps]

    def _steps(self) -> list[Step]:
        settings = self.settings
        steps: list[tuple[bool, str, Callable[[str], str]]] = [
            (settings.artefacts, "artefacts", without_artefacts),
            (settings.dropped_g, "dropped_g", with_final_g),
            (settings.misspellings, "misspellings", spelled_out),
        ]
        if isinstance(settings, Cleaning):
            stops = STOP_WORDS if settings.stop_words is True else lowered(settings.stop_words or ())
            low_idf = settings.low_idf is not None
            steps += [
                (bool(settings.stop_words), "stop_words", partial(without_words, words=stops)),
                (low_idf, "low_idf", partial(without_words, words=frozenset(self.common))),
            ]
        return [(name, step) for on, name, step in steps if on]


def without_artefacts(text: str) -> str:
    """Return lyrics without additions of the lyric site."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return tidied(text)


def with_final_g(text: str) -> str:
    """Restore dropped final g's, singin' -> singing and GOIN' -> GOING. Words such as cabin are kept."""

    def whole(match: re.Match[str]) -> str:
        word = match[1]
        if word.lower() in KEEP_IN:
            return match[0]
        return word + ("G" if word.isupper() else "g")

    return _DROPPED_G.sub(whole, text)


def spelled_out(text: str) -> str:
    """Expand spoken spellings, gonna -> going to, luv -> love, 'cause -> because. Capitals are kept."""

    def correct(match: re.Match[str]) -> str:
        word, letters = match[0], match[0].strip("'’‘")
        spelled = SPELLINGS.get(word.lower().replace("’", "'").replace("‘", "'"), word)
        if spelled == word:
            return word
        if letters.isupper() and len(letters) > 1:
            return spelled.upper()
        return spelled.capitalize() if letters[0].isupper() else spelled

    return _ELISION.sub(correct, text)


def without_words(text: str, *, words: frozenset[str]) -> str:
    """Remove `words` from a text, ignoring case."""
    if not words:
        return text
    return tidied(_WORD.sub(lambda match: "" if match[0].lower().replace("’", "'") in words else match[0], text))


def words_of(value: object) -> list[str]:
    """Return the list of distinct words that a saved encoder has. Raises `ValueError` for anything else."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value) or len(set(value)) < len(value):
        raise ValueError("its words must be a list of distinct texts")
    return value


def common_words(texts: Iterable[str], limit: float) -> list[str]:
    """Return words with ln((1 + n) / (1 + df)) + 1 below `limit` over n texts, in lower case, sorted."""
    frequency, n = Counter[str](), 0
    for text in texts:
        n += 1
        frequency.update(lowered(_WORD.findall(text)))
    return sorted(word for word, df in frequency.items() if math.log((1 + n) / (1 + df)) + 1 < limit)


def lowered(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower().replace("’", "'") for word in words)


def tidied(text: str) -> str:
    """Remove double spaces, spaces at line ends, and consecutive empty lines from a text."""
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()

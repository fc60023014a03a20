"""Cleaning of texts before they are encoded: a chain of steps, each of which can be switched on or off.

artefacts -> dropped_g -> misspellings -> stop_words -> low_idf. The first three keep sentences whole. The last two
remove words, and are for encoders that count or average words. Only `low_idf` learns, from the texts that an encoder is
fitted on. `segue encoders preview` shows what each step does to texts of a catalogue.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Self

from pydantic import Field, model_validator

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
_ARTEFACTS = [
    # "12 ContributorsTranslationsEspañolTitle Lyrics", with what some pages add to it
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
_PATTERNS = [(re.compile(pattern, re.MULTILINE), replacement) for pattern, replacement in _ARTEFACTS]
_DROPPED_G = re.compile(r"(?<![\w'’‘])([^\W\d_]*[aeiouy][^\W\d_]*(?<!a)in)['’](?![\w'’])", re.IGNORECASE)
_ELISION = re.compile(r"(?<!\w)['’‘]?[^\W_]+(?:['’][^\W_]+)*")


class SentenceCleaning(Parameters):
    """Steps that keep sentences whole. `clean: true` and `clean: false` in a recipe switch every step.

    - artefacts: remove headers, section tags, counters and links of lyric sites.
    - dropped_g: singin' -> singing.
    - misspellings: write common spoken and wrong spellings in full.
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


class Cleaning(SentenceCleaning):
    """Steps that remove words, too.

    - stop_words: true for English, or a list of words.
    - low_idf: words whose ln((1 + n) / (1 + df)) + 1, over the n texts fitted on, is below it are removed.
    """

    stop_words: bool | list[str] = False
    low_idf: float | None = Field(None, ge=1)


class LyricsCleaning(Cleaning):
    """All steps, for lyrics whose word vectors are averaged."""

    artefacts: bool = True
    dropped_g: bool = True
    misspellings: bool = True
    stop_words: bool | list[str] = True
    low_idf: float | None = Field(LOW_IDF, ge=1)


class Cleaner:
    """The steps of some settings. common: words that `fit` found too common, in lower case, sorted."""

    def __init__(self, settings: SentenceCleaning, common: Iterable[str] = ()) -> None:
        self.settings = settings
        self._set(common)

    def fit(self, texts: Iterable[str]) -> Self:
        """Learn which words of `texts` are too common; returns at once if no step learns."""
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
        """The name of each step and the text after it."""
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
    """A lyric without what its site added."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return tidied(text)


def with_final_g(text: str) -> str:
    """singin' -> singing, GOIN' -> GOING; names and words such as cabin are kept."""

    def whole(match: re.Match[str]) -> str:
        word = match[1]
        if word.lower() in KEEP_IN:
            return match[0]
        return word + ("G" if word.isupper() else "g")

    return _DROPPED_G.sub(whole, text)


def spelled_out(text: str) -> str:
    """gonna -> going to, luv -> love, 'cause -> because; capitals are kept."""

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
    """The text without the words in `words`, in upper or lower case."""
    if not words:
        return text
    return tidied(_WORD.sub(lambda match: "" if match[0].lower().replace("’", "'") in words else match[0], text))


def common_words(texts: Iterable[str], limit: float) -> list[str]:
    """Words whose ln((1 + n) / (1 + df)) + 1 over n texts is below `limit`; in lower case, sorted."""
    frequency, n = Counter[str](), 0
    for text in texts:
        n += 1
        frequency.update(lowered(_WORD.findall(text)))
    return sorted(word for word, df in frequency.items() if math.log((1 + n) / (1 + df)) + 1 < limit)


def lowered(words: Iterable[str]) -> frozenset[str]:
    return frozenset(word.lower().replace("’", "'") for word in words)


def tidied(text: str) -> str:
    """The text without double spaces, spaces at the ends of lines, and more than one empty line in a row."""
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()

"""Tests of each cleaning step and of the whole chain."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from toolkit.encoders.text.cleaning import (
    Cleaner,
    Cleaning,
    LyricsCleaning,
    SentenceCleaning,
    common_words,
    spelled_out,
    with_final_g,
    without_artefacts,
    without_words,
)
from toolkit.encoders.text.cleaning_words import KEEP_IN, SPELLINGS, STOP_WORDS

PAGE = """12 ContributorsTranslationsEspañolMidnight Lyrics Lyrics[Verse 1: Ann]
The tide is low
See Ann LiveGet tickets as low as $55You might also like[Chorus]
Come back to me (x2)

Chorus x2:
(Bridge)
I kept [it] there, in 199945Embed"""


def test_cleaning_removes_artefacts_of_a_lyric_page():
    assert without_artefacts(PAGE) == "The tide is low\n\nCome back to me\n\nI kept [it] there, in"


@pytest.mark.parametrize(
    ("page", "lyric"),
    [
        ("1 ContributorRain Lyrics[Intro]\nrain", "rain"),
        ("1,204 ContributorsRain Lyrics\nrain", "rain"),
        ("3 ContributorsRain LyricsA song about weather… Read More \n[Verse]\nrain", "rain"),
        ("3 ContributorsRain LyricsRain falls", "Rain falls"),
        ("Rain Lyrics\n\nrain", "rain"),
        ("rain1.2KEmbed", "rain"),
        ("rain\n7EmbedShare URLCopyEmbedCopy\n", "rain"),
        ("line oneYou might also like\nline two", "line one\n\nline two"),
        ("[ar: somebody]\n[00:12.34]rain\n[00:15][00:40.1]more rain", "rain\nmore rain"),
        ("[Estribillo]\nllueve\n[Pre-Chorus: Ann & Bo]\nrain", "llueve\n\nrain"),
        ("rain\n******* This Lyrics is NOT for Commercial use *******\n(1409617)", "rain"),
    ],
)
def test_cleaning_removes_headers_tags_links_and_counters(page, lyric):
    assert without_artefacts(page) == lyric


@pytest.mark.parametrize(
    "lyric",
    [
        "My bridge to nowhere\nfell in the drop zone",
        "You might like this\nor also that",
        "Part of me stays",
        "an embed of coal",
        "I read the lyrics\nall of them",
        "1999 was the year",
        "",
    ],
)
def test_cleaning_keeps_lyrics_without_artefacts(lyric):
    assert without_artefacts(lyric) == lyric


def test_cleaning_restores_a_dropped_g():
    assert with_final_g("I'm singin' and GOIN’ down, Runnin' home") == "I'm singing and GOING down, Running home"
    same = "'Berlin' in' ain't the cabin' rain' skin' singin'song"
    assert with_final_g(same) == same


def test_cleaning_corrects_spellings_and_keeps_capitals():
    assert (
        spelled_out("Gonna luv ya 'til I'm dyin, 'Cause TEH night’s o’er")
        == "Going to love you until I'm dying, Because THE night’s over"
    )
    assert spelled_out("a cause until the round table") == "a cause until the round table"


def test_without_words_removes_whole_words_ignoring_case():
    assert without_words("Don't go, the THEME of The end\nthe", words=STOP_WORDS) == "go, THEME end"
    assert without_words("I don’t know", words=STOP_WORDS) == "know"


def test_common_words_equal_a_case_by_hand():
    texts = ["rain rain", "rain sun", "rain", "Snow"]
    # ln(5 / 4) + 1 = 1.22 for rain, in 3 of 4 texts; ln(5 / 2) + 1 = 1.92 for the others
    assert common_words(texts, 1.22) == []
    assert common_words(texts, 1.23) == ["rain"]
    assert common_words(texts, 2.0) == ["rain", "snow", "sun"]


def test_common_words_are_learned_after_the_other_steps():
    cleaner = Cleaner(Cleaning(misspellings=True, low_idf=1.3))
    assert cleaner("luv it") == "love it"
    cleaner.fit(["luv rain", "love sun", "LOVE", "snow"])
    assert cleaner.common == ["love"]
    assert cleaner("Luv and rain") == "and rain"
    assert cleaner.fit(["rain", "rain", "rain", "love"]).common == ["rain"], "a second fit forgets the first"
    assert cleaner("love rain") == "love"


def test_trace_lists_the_cleaning_steps_in_order():
    cleaner = Cleaner(LyricsCleaning(), common=["rain"])
    assert cleaner.trace("[Chorus]\nI'm singin' 'bout rain") == [
        ("artefacts", "I'm singin' 'bout rain"),
        ("dropped_g", "I'm singing 'bout rain"),
        ("misspellings", "I'm singing about rain"),
        ("stop_words", "singing rain"),
        ("low_idf", "singing"),
    ]
    assert cleaner("[Chorus]\nI'm singin' 'bout rain") == "singing"
    assert Cleaner(Cleaning()).trace("x") == []


def test_clean_true_or_false_switches_every_step():
    assert Cleaning.model_validate(True).model_dump() == LyricsCleaning().model_dump()
    assert LyricsCleaning.model_validate(False).model_dump() == Cleaning().model_dump()
    assert not LyricsCleaning.model_validate({"stop_words": False}).stop_words
    assert Cleaner(Cleaning(stop_words=["Der", "die"]))("der Regen und die Sonne") == "Regen und Sonne"
    with pytest.raises(ValidationError, match="stop_words"):
        SentenceCleaning.model_validate({"stop_words": True})
    with pytest.raises(ValidationError, match="low_idf"):
        Cleaning.model_validate({"low_idf": 0.5})


def test_word_lists_are_in_lower_case_with_straight_apostrophes():
    assert all(word == word.lower() and " " not in word for word in [*SPELLINGS, *STOP_WORDS, *KEEP_IN])
    assert all(meant and meant not in SPELLINGS for meant in SPELLINGS.values())

"""Pages that stand where an answer should: captchas, block pages, maintenance."""

from __future__ import annotations

import re

_BLOCK = re.compile(
    r"captcha|cf-chl|cf-challenge|challenge-platform|challenge-form|just a moment\.\.\.|attention required!|are you a robot"
    r"|verify (?:that )?you are (?:a )?human|unusual traffic|access (?:to this page )?(?:has been )?denied|request blocked"
    r"|ddos protection|bot detection",
    re.IGNORECASE,
)
_HEAD = 20_000
"""Characters that are looked at: a block page says so early, and lyrics may use any word."""


def is_page(text: str) -> bool:
    """Whether a body is a web page, whatever its content type says."""
    return (
        text.lstrip("\ufeff \t\r\n")[:15]
        .lower()
        .startswith(("<!doctype", "<html", "<head", "<body", "<?xml-stylesheet"))
    )


def is_block_page(text: str) -> bool:
    """Whether a page asks for a human or refuses, for sources that read pages and cannot take every page for a refusal."""
    head = text[:_HEAD]
    # a page of content that merely loads a captcha's script for its comment form is long
    return bool(_BLOCK.search(re.sub(r"<script\b[^>]*\bsrc=[^>]*>", "", head))) and len(text) < 60_000

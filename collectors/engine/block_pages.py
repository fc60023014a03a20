"""Recognition of web pages that come instead of an answer: captchas, block pages, maintenance."""

from __future__ import annotations

import re

_BLOCK = re.compile(
    r"captcha|cf-chl|cf-challenge|challenge-platform|challenge-form|just a moment\.\.\.|attention required!"
    r"|are you a robot|verify (?:that )?you are (?:a )?human|unusual traffic"
    r"|access (?:to this page )?(?:has been )?denied|request blocked|ddos protection|bot detection",
    re.IGNORECASE,
)
_PAGE_STARTS = ("<!doctype", "<html", "<head", "<body", "<?xml-stylesheet")


def is_page(text: str) -> bool:
    """Whether a body is a web page, whatever its content type."""
    return text.lstrip("\ufeff \t\r\n")[:15].lower().startswith(_PAGE_STARTS)


def is_block_page(text: str) -> bool:
    """Whether a web page demands a human or refuses access, for sources that read pages."""
    # a block page shows itself early, and lyrics may use any word
    head = re.sub(r"<script\b[^>]*\bsrc=[^>]*>", "", text[:20_000])
    # a page of content that merely loads a captcha's script for its comment form is long
    return bool(_BLOCK.search(head)) and len(text) < 60_000

"""Tells HTML, SVG and other XML apart, by the first element."""

import re
from typing import NamedTuple

PLAIN, XML, SVG, HTML = "text/plain", "text/xml", "image/svg+xml", "text/html"
XHTML = "application/xhtml+xml"
MAX_BEFORE = 64
"""Comments and declarations that are passed over."""
_ELEMENT = re.compile(r"<(?:[a-z_][\w.-]{0,60}+:)?([a-z][a-z0-9]{0,30}+)(?=[\s/>]|\Z)")
_DOCUMENT = frozenset({"html", "head", "body", "frameset"})
_PARTS = frozenset({"script", "iframe", "title", "meta", "base", "object", "embed", "frame"})
"""What browsers take for HTML, and what components of programs begin with as well: no reason to delete."""


class Guess(NamedTuple):
    """A type, and whether it is known. What is not known destroys no file."""

    mime: str
    sure: bool


def markup_of(text: str) -> Guess:
    """The type of a text, or of one with this beginning."""
    rest, is_xml = text.lstrip().lower(), False
    for _ in range(MAX_BEFORE):
        after = _passed_over(rest)
        if rest.startswith("<!doctype"):
            name = rest.removeprefix("<!doctype").split(maxsplit=1)[:1]
            if name and name[0].split(">")[0].split("[")[0] in {"html", "svg"}:
                return _of(name[0][:4].rstrip(">["), is_xml=is_xml)
        is_xml = is_xml or rest.startswith(("<?xml", "<!doctype"))
        if after is None:
            break
        rest = after
    element = _ELEMENT.match(rest)
    if is_xml and element is None and "<svg" in rest:  # the beginning ends before the first element
        return Guess(SVG, sure=True)
    return _of(element[1] if element is not None else "", is_xml=is_xml)


def _passed_over(text: str) -> str | None:
    """What follows a comment or declaration at the beginning; None when there is none that ends."""
    if text.startswith("<!--"):
        end = "-->"
    elif text.startswith("<?xml"):
        end = "?>"
    elif text.startswith("<!doctype"):
        end = "]>" if "[" in text[: text.find(">")] else ">"
    else:
        return None
    at = text.find(end, 4)
    return None if at < 0 else text[at + len(end) :].lstrip()


def _of(element: str, *, is_xml: bool) -> Guess:
    """The type of what has this first element."""
    if element == "svg":
        return Guess(SVG, sure=True)
    if element in _DOCUMENT:
        return Guess(XHTML if is_xml else HTML, sure=True)
    if is_xml:
        return Guess(XML, sure=True)
    return Guess(HTML, sure=False) if element in _PARTS else Guess(PLAIN, sure=True)

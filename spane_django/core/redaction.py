"""Redaction: values that must not be seen are replaced in whatever is kept or shown.

A value is found as it is and as it looks after the usual journeys: escaped in JSON (twice, too),
in HTML, in Python's ``repr`` or in a URL, in hexadecimal, and in Base64, wherever in the encoded
text it begins (as a password does in ``Authorization: Basic …``).  Of a value of several lines
each long line is looked for as well, as log lines show one at a time.

Values shorter than `SHORTEST` are not looked for: they occur everywhere by chance.  What a node
computes from a value (a hash, a half of it) is not recognised.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from urllib.parse import quote

from .json import Json

HIDDEN = "***"
SHORTEST = 4
"""The fewest characters of a value that is looked for."""

_SHORTEST_LINE = 16
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]")
_BASE64 = "[A-Za-z0-9+/_-]"


class Redactor:
    """Replaces values in texts and in JSON."""

    def __init__(self, values: Iterable[str]) -> None:
        wanted = {text for value in values for text in _texts(value) if len(text) >= SHORTEST}
        forms = {form for text in wanted for form in _forms(text)}
        # A value that holds another one goes first, whole.
        self._forms = sorted(forms, key=len, reverse=True)
        self._numbers = wanted
        self._urls = [_in_urls(text) for text in wanted if not _is_unreserved(text)]
        self._cores = {core: _around(core) for text in wanted for core in _base64_cores(text)}

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._forms)

    def text(self, text: str) -> str:
        """Return ``text`` with ``***`` in place of the values."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, HIDDEN)
        if "%" in text or "+" in text:
            for pattern in self._urls:
                text = pattern.sub(HIDDEN, text)
        for core, pattern in self._cores.items():
            if core in text:
                text = pattern.sub(HIDDEN, text)
        return text

    def json(self, value: Json) -> Json:
        """Return a JSON value with ``***`` in place of the values, also in keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.json(key): self.json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item) for item in value]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return HIDDEN if is_number and str(value) in self._numbers else value


HIDING: ContextVar[Redactor | None] = ContextVar("spane_hiding", default=None)
"""What the node has opened whose code is on this thread, or in this task; None: nothing."""


def _texts(value: str) -> Iterator[str]:
    yield value
    yield value.strip()
    if "\n" in value:
        lines = (line.strip() for line in value.splitlines())
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and "-----" not in line)


def _forms(text: str) -> Iterator[str]:
    """Yield the text as it looks when it is escaped."""
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield escaped
        yield json.dumps(escaped, ensure_ascii=False)[1:-1]
        yield html.escape(escaped)
    yield text
    yield html.escape(text)
    yield repr(text)[1:-1]
    yield ascii(text)[1:-1]
    raw = _utf8(text)
    yield raw.hex()
    yield raw.hex().upper()
    yield repr(raw)[2:-1]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _is_unreserved(text: str) -> bool:
    return all(map(_UNRESERVED.match, text))


def _in_urls(text: str) -> re.Pattern[str]:
    """Match the text however much of it is percent-encoded: clients differ in what they leave."""
    return re.compile("".join(map(_in_url, text)))


def _in_url(character: str) -> str:
    if _UNRESERVED.match(character):
        return re.escape(character)
    encoded = quote(_utf8(character), safe="")
    forms = [re.escape(character), f"(?i:{encoded})", *(["\\+"] if character == " " else [])]
    return f"(?:{'|'.join(forms)})"


def _base64_cores(text: str) -> Iterator[str]:
    """Yield what is the same in Base64 wherever in the encoded text the value begins.

    A character of Base64 holds six bits, so what comes before shifts the value by zero, one or
    two bytes; the characters that it shares with its neighbours are left to `_around`.
    """
    raw = _utf8(text)
    for shift in range(3):
        bits = 8 * (shift + len(raw))
        core = base64.b64encode(bytes(shift) + raw).decode()[-(-8 * shift // 6) : bits // 6]
        if len(core) >= SHORTEST:
            yield core
            yield core.translate({ord("+"): "-", ord("/"): "_"})


def _around(core: str) -> re.Pattern[str]:
    return re.compile(f"{_BASE64}?{re.escape(core)}{_BASE64}?={{0,2}}")

"""Tokens: the words, texts, numbers and signs that a filter is made of, each with its place.

Texts stand in single or double quotes; within, the quote is doubled or has a backslash before it, and ``\\n``,
``\\r``, ``\\t`` and ``\\\\`` mean what they do in Python. A name in back quotes may hold anything; a back quote in
it is doubled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

import msgspec

from .error import FilterError

FILTER_CHARS_MAX = 20_000


class Kind(Enum):
    """What a token is."""

    WORD = "a word"
    NAME = "a name in back quotes"
    TEXT = "text"
    NUMBER = "a number"
    SIGN = "a sign"
    END = "the end of the filter"


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token. ``text`` is what it means: without quotes, escapes resolved."""

    kind: Kind
    text: str
    offset: int
    end: int

    def is_word(self, *words: str) -> bool:
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_sign(self, *signs: str) -> bool:
        return self.kind is Kind.SIGN and self.text in signs


_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\W\d]\w*(?:[.\-]\w+)*")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SIGN = re.compile(r"<=|>=|<>|!=|==|[=<>(),+-]")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}


def tokens_of(text: str) -> Iterator[Token]:
    """The tokens of a filter, the last one its end. Raises ``FilterError``."""
    if len(text) > FILTER_CHARS_MAX:
        raise FilterError(text, FILTER_CHARS_MAX, f"at most {FILTER_CHARS_MAX} characters", f"{len(text)}")
    offset = 0
    while True:
        space = _SPACE.match(text, offset)
        offset = offset if space is None else space.end()
        if offset == len(text):
            yield Token(Kind.END, "", offset, offset)
            return
        token = _token_at(text, offset)
        yield token
        offset = token.end


def _token_at(text: str, offset: int) -> Token:
    if text[offset] in "'\"`":
        return _quoted(text, offset)
    for pattern, kind in ((_NUMBER, Kind.NUMBER), (_WORD, Kind.WORD), (_SIGN, Kind.SIGN)):
        match = pattern.match(text, offset)
        if match is not None:
            return Token(kind, match.group(), offset, match.end())
    raise FilterError(text, offset, "a name, a value or a comparison", f"the character {text[offset]!r}")


def _quoted(text: str, offset: int) -> Token:
    quote = text[offset]
    kind = Kind.NAME if quote == "`" else Kind.TEXT
    parts: list[str] = []
    at = offset + 1
    while at < len(text):
        char = text[at]
        if char == quote and text[at + 1 : at + 2] != quote:
            return Token(kind, "".join(parts), offset, at + 1)
        if char == quote:
            parts.append(quote)
            at += 2
        elif char == "\\" and kind is Kind.TEXT:
            parts.append(_escaped(text, at))
            at += 2
        else:
            parts.append(char)
            at += 1
    what = "name" if kind is Kind.NAME else "text"
    raise FilterError(text, len(text), f"{quote} at the end of the {what} that begins at position {offset + 1}")


def _escaped(text: str, at: int) -> str:
    char = text[at + 1 : at + 2]
    if char not in _ESCAPES:
        raise FilterError(text, at, r"one of \\, \', \", \n, \r, \t (a backslash itself is doubled)", repr("\\" + char))
    return _ESCAPES[char]

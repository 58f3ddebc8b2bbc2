"""Cuts JSON while it comes: what is nested deeper than so many levels becomes null.

A list of a service may repeat whole inputs in each entry, and be of hundreds of megabytes, though
only names and states of it are wanted. What is kept of it stays small.
"""

import re

# Atomic groups: Python 3.11.2 matches possessive ones wrongly.
_PLAIN = rb'[^"{}\[\]]++|"(?>(?:[^"\\]++|\\.)*)"'
_FLAT = rb"[{\[](?>(?:%b)*)[}\]]" % _PLAIN
_NESTED = rb"[{\[](?>(?:%b|%b)*)[}\]]" % (_PLAIN, _FLAT)
_TO_BRACKET = re.compile(rb"(?>(?:%b)*)" % _PLAIN, re.DOTALL)
"""All up to the next bracket, with whole strings on the way; one that is cut off is not taken."""
_OVER_NESTED = re.compile(rb"(?>(?:%b|%b)*)" % (_PLAIN, _NESTED), re.DOTALL)
"""The same, over whole objects and lists too: what is dropped need not be looked at any closer."""
_TO_QUOTE = re.compile(rb'(?>(?:[^"\\]++|\\.)*)"', re.DOTALL)
_OPENING = b"{["


class Shallow:
    """Reads JSON piece by piece, and keeps so many levels of it; the outermost is the first."""

    def __init__(self, levels: int) -> None:
        self._levels = levels
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def feed(self, piece: bytes) -> bytes:
        """Return what is kept of a piece."""
        kept, place, start = bytearray(), 0, 0
        while place < len(piece):
            if self._is_in_string:
                place = self._leave_string(piece, place)
                continue
            way = _OVER_NESTED if self._depth > self._levels else _TO_BRACKET
            found = way.match(piece, place)
            place = len(piece) if found is None else found.end()
            if place == len(piece):
                break
            letter = piece[place]
            place += 1
            if letter == ord('"'):
                self._is_in_string = True
            elif letter in _OPENING:
                self._depth += 1
                if self._depth == self._levels + 1:
                    kept += piece[start : place - 1] + b"null"
            else:
                self._depth -= 1
                if self._depth == self._levels:
                    start = place
        if self._depth <= self._levels:
            kept += piece[start:]
        return bytes(kept)

    def _leave_string(self, piece: bytes, place: int) -> int:
        """Return the place behind a string that began before, or the end of the piece."""
        begin = place + 1 if self._is_escaped else place
        self._is_escaped = False
        found = _TO_QUOTE.match(piece, begin)
        if found is not None:
            self._is_in_string = False
            return found.end()
        rest = piece[begin:]
        self._is_escaped = (len(rest) - len(rest.rstrip(b"\\"))) % 2 == 1
        return len(piece)

"""Refusing: why somebody is not logged in."""

from __future__ import annotations


class Refused(Exception):
    """What was shown does not prove who it is."""


class Unreachable(Exception):
    """The provider does not answer, or not as it should."""

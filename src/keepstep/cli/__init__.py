"""The ``keepstep`` command. One module a command, or a family of them; ``main`` is the entry point."""

from .command import main

__all__ = ["main"]

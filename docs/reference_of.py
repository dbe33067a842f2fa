"""Two directives for the reference: all public names by kind, and all commands with what their ``--help`` says.

Nothing is listed by hand, so nothing can be forgotten: names come from ``keepstep.__all__``, and commands from the
command group.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

import keepstep
from keepstep.cli.command import keepstep as commands

HELP_COLUMNS = 96


class PublicNames(Directive):
    """``.. public-names:: KIND``: functions, classes, or errors."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What autodoc makes of each."""
        [kind] = self.arguments
        lines: list[str] = []
        for name in names_of(kind):
            directive = {"functions": "autofunction", "classes": "autoclass", "errors": "autoexception"}[kind]
            lines += [f".. {directive}:: keepstep.{name}", *(["   :members:"] if kind == "classes" else []), ""]
        return _parsed(self, lines)


class Commands(Directive):
    """``.. commands::``: each of them, and those below it."""

    def run(self) -> list[nodes.Node]:
        """A section for each."""
        lines: list[str] = []
        context = click.Context(commands, info_name="keepstep")
        for name in commands.list_commands(context):
            command = commands.get_command(context, name)
            assert command is not None
            title = f"keepstep {name}"
            lines += [title, "=" * len(title), ""]
            for text in help_of(command, name, context):
                lines += [".. code-block:: text", "", *(f"   {line}" for line in text.splitlines()), ""]
        return _parsed(self, lines)


def names_of(kind: str) -> list[str]:
    """Public names: ``errors`` are classes that are raised, ``functions`` is all that is called and no class."""
    found = []
    for name in sorted(keepstep.__all__):
        value = getattr(keepstep, name)
        is_class = inspect.isclass(value)
        is_error = is_class and issubclass(value, BaseException)
        its_kind = "errors" if is_error else "classes" if is_class else "functions" if callable(value) else "others"
        if its_kind == kind:
            found.append(name)
    return found


def help_of(command: click.Command, name: str, above: click.Context) -> list[str]:
    """What ``--help`` says of a command, then of those below it."""
    context = click.Context(command, info_name=name, parent=above, terminal_width=HELP_COLUMNS)
    said = [command.get_help(context)]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            said += help_of(found, below, context)
    return said


def _parsed(directive: Directive, lines: list[str]) -> list[nodes.Node]:
    holder = nodes.section()
    holder.document = directive.state.document
    nested_parse_with_titles(directive.state, StringList(lines, source="reference"), holder)
    return list(holder.children)


def setup(app: Any) -> dict[str, bool]:
    """For Sphinx. Annotations are read where they stand, also those whose names only type checkers import there."""
    public = {name: getattr(keepstep, name) for name in keepstep.__all__}
    for module in {getattr(value, "__module__", None) for value in public.values()}:
        if module is not None and module.startswith("keepstep."):
            for name, value in public.items():
                vars(sys.modules[module]).setdefault(name, value)
    app.add_directive("public-names", PublicNames)
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""``keepstep attributes``: what runs can be searched by, and giving it a type."""

from __future__ import annotations

import click

from keepstep.journal.attribute import TYPES

from .database import client, database_option, json_option, run
from .table import print_json, print_table


@click.group("attributes")
def attributes_command() -> None:
    """Look at what runs can be searched by, and give attributes their types."""


@attributes_command.command("list")
@json_option
@database_option
def list_attributes(as_json: bool, url: str) -> int:
    """List the attributes that runs have had, or that were registered, and their types."""
    return run(_list(as_json, url))


async def _list(as_json: bool, url: str) -> None:
    async with client(url) as engine:
        attributes = await engine.attributes.list()
    if as_json:
        print_json([{"name": name, "type": type_} for name, type_ in attributes.items()])
    else:
        print_table(("attribute", "type"), list(attributes.items()))


@attributes_command.command("register")
@click.argument("name")
@click.argument("type", type=click.Choice([each.value for each in TYPES]))
@database_option
def register_attribute(name: str, type: str, url: str) -> int:
    """Give an attribute its type before the first run has a value. Without it, that value gives the type."""
    return run(_register(name, type, url))


async def _register(name: str, type_: str, url: str) -> None:
    async with client(url) as engine:
        await engine.attributes.register(**{name: type_})
    click.echo(f"attribute {name} is {type_}")

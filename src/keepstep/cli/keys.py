"""``keepstep keys``: who may call the server: making, listing and revoking keys."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec

from keepstep.client.access import Key, KeyRing, Role
from keepstep.client.address import open_journal
from keepstep.client.info import moment
from keepstep.journal import uuid7
from keepstep.runtime.data import to_seconds

from .database import json_option, run, store_option
from .table import ago, clock_time, print_json, print_table

ROLES = click.Choice([role.value for role in Role if role is not Role.PUBLIC])


@click.group("keys")
def keys_command() -> None:
    """Make, list and revoke the keys that callers of the server show."""


@asynccontextmanager
async def _ring(url: str, *, create: bool = False) -> AsyncIterator[KeyRing]:
    store = await open_journal(url, create=create)
    try:
        yield KeyRing(store, os.urandom, uuid7)
    finally:
        await store.close()


@keys_command.command("create")
@click.argument("name")
@click.option("--role", type=ROLES, required=True, help="What its owner may do.")
@click.option("--namespace", "namespaces", multiple=True, metavar="NAME", help="Where; everywhere, if there is none.")
@click.option("--decode", "decodes", is_flag=True, help="It may see encrypted values, where the server has the keys.")
@click.option("--expires", metavar="TIME", help="It counts for so long, such as 90d; by default until it is revoked.")
@store_option
def create_key(name: str, role: str, namespaces: tuple[str, ...], expires: str | None, decodes: bool, url: str) -> int:
    """Make a key, and print it: this once, because only its digest is kept."""
    return run(_create(name, Role(role), namespaces, expires, url, decodes=decodes))


async def _create(
    name: str, role: Role, namespaces: tuple[str, ...], expires: str | None, url: str, *, decodes: bool
) -> None:
    seconds = None if expires is None else to_seconds(expires)
    async with _ring(url, create=True) as ring:
        _, text = await ring.create(name, role, namespaces, seconds, decodes=decodes)
    click.echo(text)


@keys_command.command("list")
@json_option
@store_option
def list_keys(as_json: bool, url: str) -> int:
    """List the keys that count, without what their owners show."""
    return run(_list(as_json, url))


async def _list(as_json: bool, url: str) -> None:
    async with _ring(url) as ring:
        keys = await ring.list()
    if as_json:
        print_json([_as_data(key) for key in keys])
    else:
        print_table(("name", "id", "role", "decodes", "namespaces", "made", "expires"), [_row(key) for key in keys])


def _as_data(key: Key) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(key)
    del data["digest"]
    expires_at = None if key.expires_at is None else moment(key.expires_at)
    return data | {"created_at": moment(key.created_at), "expires_at": expires_at}


def _row(key: Key) -> tuple[str, ...]:
    expires = "never" if key.expires_at is None else clock_time(moment(key.expires_at))
    where = ", ".join(key.namespaces) or "all"
    return key.name, key.id, key.role.value, "yes" if key.decodes else "no", where, ago(moment(key.created_at)), expires


@keys_command.command("revoke")
@click.argument("name_or_id")
@store_option
def revoke_key(name_or_id: str, url: str) -> int:
    """Let a key count no longer. Servers know within two seconds."""
    return run(_revoke(name_or_id, url))


async def _revoke(name_or_id: str, url: str) -> None:
    async with _ring(url) as ring:
        key = await ring.revoke(name_or_id)
    click.echo(f"the key {key.name} ({key.id}) counts no longer")

"""``keepstep new-key``, ``reencrypt``, ``sweep-blobs``: keys are made and get old, and blobs are left behind."""

from __future__ import annotations

import time

import click

from keepstep.codecs import Codec
from keepstep.codecs.environment import BLOBS, KEYS, codec_from_environment
from keepstep.codecs.keys import Keys, new_key
from keepstep.codecs.resealing import Resealed, reseal
from keepstep.codecs.sweeping import GRACE_SECONDS, Swept, sweep
from keepstep.journal import InvalidInput
from keepstep.journal.kept import KeptIn
from keepstep.runtime.data import to_seconds

from .command import EXIT_FAILED, complain
from .database import client, run, store_option

TOLD_SECONDS = 2.0
"""Between two lines of progress."""


@click.command("new-key")
@click.argument("id")
def new_key_command(id: str) -> int:
    """Print a line for a file of keys: ID, and a new key of 256 bits.

    `keepstep new-key 2026-11 >> keys` makes it the one that writes; those before it are still needed to read.
    """
    key = new_key()
    Keys({id: key})
    click.echo(f"{id} {key}")
    return 0


@click.command("reencrypt")
@click.option("--from", "only", multiple=True, metavar="KEY", help="Only what this key has sealed; `plain`: no key.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@store_option
def reencrypt_command(only: tuple[str, ...], dry_run: bool, url: str) -> int:
    """Seal everything anew with the newest key of KEEPSTEP_KEYS.

    Give the key to all workers before; they may run meanwhile. Stopped at any point, the same command goes on where it
    was. Exit code 1 if something could not be read, or is left that other keys have sealed.
    """
    codec = codec_from_environment()
    if codec.keys is None:
        raise InvalidInput(f"reencrypt needs {KEYS}, a file of keys, with the newest one last")
    try:
        return run(_reencrypt(url, codec, only, dry_run))
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it was")
        return EXIT_FAILED


async def _reencrypt(url: str, codec: Codec, only: tuple[str, ...], dry_run: bool) -> int:
    teller = _Teller()
    async with client(url) as engine:
        done = await reseal(engine.journal, codec, teller.tell, only=only, dry_run=dry_run)
    assert codec.keys is not None
    before = _counts(done, codec.keys.primary)
    click.echo(f"{'would seal' if dry_run else 'sealed'} {done.sealed} values with key {codec.keys.primary!r}{before}")
    for each in done.unreadable:
        complain(each)
    if done.unreadable_count:
        complain(f"{done.unreadable_count} values could not be read, and are as they were")
    for key, count in sorted(done.left.items()):
        complain(f"{count} values are left under {_named(key)}; a worker may still write so")
    return EXIT_FAILED if done.unreadable_count or done.left else 0


def _counts(done: Resealed, primary: str) -> str:
    parts = [f"{count} that were under {_named(key)}" for key, count in sorted(done.by_key.items())]
    return f": {', '.join(parts)}" if parts else f"; all of them are under {primary!r} already"


def _named(key: str) -> str:
    return "no key" if key == "plain" else f"key {key!r}"


class _Teller:
    """Says now and then how far it has come."""

    def __init__(self) -> None:
        self._tell_at = time.monotonic() + TOLD_SECONDS

    def tell(self, where: KeptIn, done: Resealed) -> None:
        if time.monotonic() >= self._tell_at:
            self._tell_at = time.monotonic() + TOLD_SECONDS
            click.echo(f"{where}: {done.seen[where]} looked at, {done.sealed} sealed in all", err=True)


@click.command("sweep-blobs")
@click.option("--older-than", default=f"{GRACE_SECONDS:g}s", show_default=True, help="Younger blobs are left alone.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@store_option
def sweep_blobs_command(older_than: str, dry_run: bool, url: str) -> int:
    """Remove blobs of KEEPSTEP_BLOBS that nothing in the database refers to any more.

    The place must belong to this database alone: those of another one would be taken for garbage.
    """
    codec = codec_from_environment()
    if codec.blobs is None:
        raise InvalidInput(f"sweep-blobs needs {BLOBS}, the place where blobs are kept")
    return run(_sweep(url, codec, to_seconds(older_than), dry_run))


async def _sweep(url: str, codec: Codec, grace_seconds: float, dry_run: bool) -> int:
    assert codec.blobs is not None
    async with client(url) as engine:
        swept = await sweep(engine.journal, codec.blobs, now=time.time, grace_seconds=grace_seconds, dry_run=dry_run)
    click.echo(_summary(swept, dry_run))
    if swept.missing:
        complain(f"{swept.missing} blobs that the database refers to are not there; restore them from a backup")
    return EXIT_FAILED if swept.missing else 0


def _summary(swept: Swept, dry_run: bool) -> str:
    verb = "would remove" if dry_run else "removed"
    return f"{verb} {swept.removed} of {swept.blobs} blobs, {swept.removed_bytes:,} of {swept.blob_bytes:,} bytes"

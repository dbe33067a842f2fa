"""``python -m examples.schedules``: makes the schedules of ``reports``, and looks at what they do."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from keepstep import Engine
from keepstep.schedules import upcoming

from .reports import CHRISTMAS, make_schedules

BEFORE_CHRISTMAS = datetime(2026, 12, 23, 12, tzinfo=UTC)


async def look_at_schedules(engine: Engine) -> list[str]:
    """What there is to say."""
    mornings, _, pulse = await make_schedules(engine)
    await make_schedules(engine)  # as each start of the program does
    times = upcoming(2, after=BEFORE_CHRISTMAS, cron="0 9 * * MON-FRI", tz="Europe/Berlin", exclude=CHRISTMAS)
    said = [f"around Christmas: {', '.join(f'{each:%a %d %b %H:%M %Z}' for each in times)}"]
    while (await pulse.describe()).left:
        await asyncio.sleep(0.1)
    fired = await pulse.describe()
    said.append(f"the pulse was felt {fired.started} times, {fired.missed} were missed")
    await mornings.pause("holidays")
    by_hand = await mornings.trigger()
    while (await mornings.describe()).asked:
        await asyncio.sleep(0.05)
    said.append(await engine.get(by_hand).result())
    info = await mornings.describe()
    said.append(f"{info.id} is paused: {info.note}")
    done = [each.kind async for each in mornings.history() if each.kind != "ended"]
    said.append(f"what became of it: {', '.join(done)}")
    return said


async def main(url: str) -> None:
    async with Engine(url) as engine:
        print("\n".join(await look_at_schedules(engine)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "memory:"))

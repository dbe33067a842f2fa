"""A report on every working morning, and a heartbeat; see docs/schedules.md."""

from __future__ import annotations

from datetime import date

from keepstep import Engine, step, workflow
from keepstep.client.schedule import ScheduleHandle
from keepstep.schedules import Calendar

CHRISTMAS = [date(2026, 12, 25), date(2026, 12, 26)]


@step
async def count_orders(shop: str) -> int:
    return len(shop) * 100


@workflow
async def report_orders(shop: str) -> str:
    return f"{shop}: {await count_orders(shop)} orders"


async def make_schedules(engine: Engine) -> list[ScheduleHandle]:
    """May be called at each start of the program: what is there with the same words is left alone."""
    mornings = await engine.schedule(
        "morning-report", report_orders, "berlin", cron="0 9 * * MON-FRI", tz="Europe/Berlin", exclude=CHRISTMAS
    )
    closings = await engine.schedule(
        "month-end", report_orders, "all", calendar=Calendar(day="L", hour=18), overlap="buffer_one", catchup="3d"
    )
    pulse = await engine.schedule("pulse", report_orders, "pulse", every="1s", overlap="allow", limit=3)
    return [mornings, closings, pulse]

"""``python -m examples.observability DATABASE_URL SPANS_FILE``: kill -9 in the middle of a step, and one trace.

The program starts itself as a worker that dies while it packs a parcel, goes on with the run in its own process, and
prints the spans that both have sent. Spans go to a file here; in earnest they go to a collector.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import format_span_id, format_trace_id

import keepstep
from keepstep import Engine, step, workflow
from keepstep.telemetry.traces import RunTraces

DIES = "OBSERVED_WORKER_DIES"

provider = TracerProvider()
tracer = provider.get_tracer("examples.observability")


@step
async def weigh_observed(parcel: str) -> int:
    return len(parcel)


@step
async def pack_observed(parcel: str) -> str:
    with tracer.start_as_current_span("look for a box"):
        keepstep.logger.info("packing %s", parcel)
    if os.environ.get(DIES):
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{parcel} in a box"


@workflow
async def send_observed(parcel: str) -> str:
    keepstep.set_status(f"to {await keepstep.receive('address', str)}")
    weight = await weigh_observed(parcel)
    keepstep.note(f"weighs {weight}")
    return await pack_observed(parcel)


class Lines(SpanExporter):
    """One span a line, appended to a file by any number of processes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._file.open("a") as lines:
            for span in spans:
                lines.write(json.dumps(_plain(span)) + "\n")
        return SpanExportResult.SUCCESS


def _plain(span: ReadableSpan) -> dict[str, str | list[str] | None]:
    assert span.context is not None
    return {
        "trace": format_trace_id(span.context.trace_id),
        "span": format_span_id(span.context.span_id),
        "parent": format_span_id(span.parent.span_id) if span.parent else None,
        "name": span.name,
        "outcome": str((span.attributes or {}).get("keepstep.outcome", "")),
        "events": [each.name for each in span.events],
    }


async def main(url: str, file: Path) -> None:
    provider.add_span_processor(SimpleSpanProcessor(Lines(file)))
    async with Engine(url, lease_seconds=1, observers=[RunTraces(provider)]) as engine:
        run = await engine.start(send_observed, "teapot", id="parcel-1")
        await run.signal("address", "Main Street 1", id="address-1")  # said by both processes, and heard once
        await run.result()


def show(file: Path) -> None:
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    [root] = [each for each in spans if each["name"] == "workflow send_observed"]
    of_the_run = [each for each in spans if each["trace"] == root["trace"]]
    print(f"{root['name']} ({', '.join(root['events'])})")
    for span in of_the_run:
        if span["parent"] == root["span"]:
            print(f"  {span['name']}: {span['outcome']}")
            for inner in of_the_run:
                if inner["parent"] == span["span"]:
                    print(f"    {inner['name']}")


if __name__ == "__main__":
    if not os.environ.get(DIES):
        again = [sys.executable, "-m", "examples.observability", *sys.argv[1:]]
        died = subprocess.run(again, env={**os.environ, DIES: "1"}, check=False)
        print("the first worker was killed" if died.returncode == -signal.SIGKILL else "the first worker lived")
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
    show(Path(sys.argv[2]))

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HistoryEvent, RunDetail, Span } from "../src/api/types.ts";
import { fileName, reportOf, type Told } from "../src/exporting/report.ts";

const NASTY = `<script>alert("x")</script>&'`;

const TOLD: Told = {
  run: {
    id: NASTY, run_id: "r1", type: "sell", version: "", status: "failed", condition: "", namespace: "default", queue: "q",
    started_at: "2026-11-28T09:00:00Z", closed_at: "2026-11-28T09:00:10Z", status_text: NASTY, attributes: { customer: NASTY },
    progress: `It failed: ${NASTY}`, input: [NASTY], failure: { traceback: NASTY, cause: { type: "ValueError", message: NASTY } }, events: 5,
  } as unknown as RunDetail,
  spans: [{ key: "a", kind: "step", name: NASTY, asked_at: "2026-11-28T09:00:00Z", started_at: null, ended_at: "2026-11-28T09:00:05Z", outcome: "failed", attempts: 1, error: NASTY, seq: 2, next_attempt_at: null, until: null } as unknown as Span],
  events: [{ seq: 5, type: "step_failed", time: "2026-11-28T09:00:05Z", key: NASTY, data: { name: NASTY } } as HistoryEvent],
  now: Date.parse("2026-11-28T10:00:00Z"),
};

test("whatever a run says is text in its report, and no part of it", () => {
  const report = reportOf(TOLD);
  assert.ok(!/<script/i.test(report));
  assert.ok(!/(src|href)=/i.test(report));
  assert.equal(report.split("&#60;script&#62;alert(&#34;x&#34;)").length - 1, 10); // in JSON the quotes are escaped once more
});

test("a report says how much of a long history it has", () => {
  assert.match(reportOf(TOLD), /The last 1 of 5 events/);
  assert.doesNotMatch(reportOf({ ...TOLD, run: { ...TOLD.run, events: 1 } }), /The last/);
});

test("a run without anything has a report, too", () => {
  assert.match(reportOf({ ...TOLD, spans: [], events: [] }), /Nothing has happened yet/);
});

test("a file has a name that every system takes", () => {
  assert.deepEqual(["order/42", "..", "ä b:c", "x".repeat(200)].map((id) => fileName(id).length < 90 && fileName(id)), ["order-42.html", "run.html", "b-c.html", `${"x".repeat(80)}.html`]);
});

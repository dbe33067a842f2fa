import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, ApiError } from "../src/api/client.ts";
import { type BulkLine, filterOf, outcomeWords, shareOf } from "../src/runs/bulk.ts";

const LINE = { total: 10, done: 4, already: 1, refused: 0, is_complete: false } as BulkLine;

test("a bulk is of those that were chosen, or of all that fit, in no order", () => {
  assert.equal(filterOf("Status = 'failed'", new Set(["a", "it's"])), "RunId IN ('a', 'it''s')");
  assert.equal(filterOf("Status = 'failed' ORDER BY StartTime", new Set()), "Status = 'failed'");
  assert.equal(filterOf(" ", new Set()), null);
});

test("how far it has come, and what has become of it", () => {
  assert.equal(shareOf(LINE), 0.5);
  assert.equal(shareOf({ ...LINE, is_complete: true }), 1);
  assert.equal(outcomeWords({ ...LINE, done: 1, refused: 2 }), "1 run done, 1 were so before, 2 refused");
});

function answering(chunks: string[], status = 200): Api {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
  return new Api("/", "default", () => Promise.resolve(new Response(body, { status })));
}

test("lines are told as they come, however they are cut up on the way", async () => {
  const told: unknown[] = [];
  await answering(['{"n":1}\n{"n', '":2}\n', '{"n":3}']).lines("bulk", {}, (line) => told.push(line), new AbortController().signal);
  assert.deepEqual(told, [{ n: 1 }, { n: 2 }, { n: 3 }]);
});

test("a refusal is raised, be it the answer or its last line", async () => {
  const told: unknown[] = [];
  const refused = '{"error":{"code":"overloaded","message":"too much"}}\n';
  const ask = (api: Api) => api.lines("bulk", {}, (line) => told.push(line), new AbortController().signal);
  await assert.rejects(ask(answering(['{"n":1}\n', refused])), (error) => error instanceof ApiError && error.message === "too much");
  await assert.rejects(ask(answering([refused], 503)), (error) => error instanceof ApiError && error.status === 503);
  assert.deepEqual(told, [{ n: 1 }]);
});

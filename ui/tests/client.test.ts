import assert from "node:assert/strict";
import { test } from "node:test";
import { Api, ApiError, isAbort } from "../src/api/client.ts";

function answering(answer: () => Response | Promise<Response>) {
  const asked: { address: string; options: RequestInit }[] = [];
  const api = new Api("/ops/", "tests", async (address, options) => { asked.push({ address, options }); return answer(); });
  return { api, asked };
}

test("a question carries the namespace, and what is empty is left out", async () => {
  const { api, asked } = answering(() => Response.json({ runs: [], next: null }));
  await api.runs("a = 'b&c'", 100, null);
  assert.equal(asked[0]!.address, "/ops/api/v1/runs?filter=a+%3D+%27b%26c%27&limit=100&namespace=tests");
});

test("an id is one part of the address, whatever is in it", async () => {
  const { api, asked } = answering(() => Response.json({}));
  await api.act("a/b?c", "r1", "signals/go%2Fon", { value: 1 });
  assert.equal(asked[0]!.address, "/ops/api/v1/runs/a%2Fb%3Fc/signals/go%2Fon?run_id=r1&namespace=tests");
  assert.equal(asked[0]!.options.body, '{"value":1}');
});

test("a refusal says its code, its words and its place", async () => {
  const error = { code: "invalid_input", message: "filter: expected a field", field: "filter", position: 7 };
  const { api } = answering(() => Response.json({ error }, { status: 400 }));
  await assert.rejects(api.counts(), (refused: ApiError) => {
    assert.deepEqual([refused.status, refused.code, refused.message, refused.position], [400, "invalid_input", error.message, 7]);
    return true;
  });
});

test("what a proxy answers in place of the server is told by its status", async () => {
  const { api } = answering(() => new Response("<h1>Bad gateway</h1>", { status: 502 }));
  await assert.rejects(api.counts(), /status 502/);
});

test("a server that cannot be reached is told as that, and a question that was dropped is none", async () => {
  await assert.rejects(answering(() => Promise.reject(new TypeError("failed"))).api.counts(), { code: "unreachable" });
  const dropped = answering(() => Promise.reject(new DOMException("", "AbortError"))).api.counts();
  await assert.rejects(dropped, (error) => isAbort(error));
});

test("it is told whether the server answers at all, also by a refusal", async () => {
  const told: boolean[] = [];
  for (const answer of [() => Promise.reject(new TypeError("failed")), () => Response.json({}, { status: 503 })]) {
    const { api } = answering(answer);
    api.onreach = (isReached) => told.push(isReached);
    await assert.rejects(api.counts());
  }
  assert.deepEqual(told, [false, true]);
});

test("an answer without a body is no error", async () => {
  assert.equal(await answering(() => new Response(null, { status: 204 })).api.act("a", "r", "cancel", {}), null);
});

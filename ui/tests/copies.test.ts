import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../src/api/client.ts";
import { copiesOf } from "../src/run/actions.ts";
import { copiesOfStart } from "../src/runs/starting.ts";

const api = new Api("/", "shop");
const open = { id: "it's / 1", run_id: "r1", status: "running" } as const;
const closed = { ...open, status: "failed" } as const;

test("what is done here can be done from elsewhere, with every word quoted for the one who reads it", () => {
  const said = { name: "picked", args: [{ by: "ann", is_ok: true, "n\"": null }] };
  assert.deepEqual(copiesOf(api, "http://h", open, "signal", said), {
    cli: `keepstep signal 'it'"'"'s / 1' picked '{"by":"ann","is_ok":true,"n\\"":null}' --namespace shop`,
    python:
      'async with keepstep.Engine(url, workers=False, namespace="shop") as engine:\n' +
      '    await engine.get("it\'s / 1").signal("picked", {"by": "ann", "is_ok": True, "n\\"": None})',
    curl: `curl --json '{"value":{"by":"ann","is_ok":true,"n\\"":null}}' 'http://h/api/v1/runs/it'"'"'s%20%2F%201/signals/picked?namespace=shop'`,
  });
});

test("of a closed run its run id is meant, as newer ones may have its id", () => {
  const copies = copiesOf(api, "http://h", closed, "fork", { at: 3, replace: { "a#2": [1] } });
  assert.equal(copies.cli, `keepstep fork r1 --at 3 --replace 'a#2=[1]' --namespace shop`);
  assert.match(copies.python, /engine\.get\("it's \/ 1", "r1"\)\.fork\(at=3, replace=\{"a#2": \[1\]\}\)/);
  assert.match(copies.curl, /run_id=r1/);
});

test("a step is resolved with a value, or with an error", () => {
  assert.match(copiesOf(api, "", open, "resolve", { key: "pay", value: null }).cli, /resolve .* pay --value null/);
  assert.match(copiesOf(api, "", open, "resolve", { key: "pay", error: "no" }).python, /resolve\("pay", error="no"\)/);
});

test("a start says what was given, and nothing of what was not", () => {
  const copies = copiesOfStart(new Api("/", "default"), "http://h", { type: "Order", input: ["tea", 2], attributes: { customer: "c7" } });
  assert.equal(copies.cli, `keepstep start Order --input '"tea"' --input 2 --attribute 'customer="c7"'`);
  assert.match(copies.python, /run = await engine\.start\("Order", "tea", 2, attributes=\{"customer": "c7"\}\)$/);
  assert.equal(copies.curl, `curl --json '{"type":"Order","input":["tea",2],"attributes":{"customer":"c7"}}' 'http://h/api/v1/runs?namespace=default'`);
});

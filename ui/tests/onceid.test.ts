import assert from "node:assert/strict";
import { test } from "node:test";
import { OnceId } from "../src/run/onceid.ts";

test("the same that is sent again has the same id, until it is done or something else is sent", () => {
  const once = new OnceId();
  const first = once.of(["put", { n: 1 }]);
  assert.match(first, /^ui-[0-9a-f]{32}$/);
  assert.equal(once.of(["put", { n: 1 }]), first);
  const other = once.of(["put", { n: 2 }]);
  assert.notEqual(other, first);
  once.done();
  assert.notEqual(once.of(["put", { n: 2 }]), other);
});

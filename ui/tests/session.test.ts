import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../src/api/client.ts";
import { addressOfLogIn, isOutside, logIn, readSession, type Session } from "../src/api/session.ts";

const nobody: Session = { needs_key: true, name: "", role: "public", namespaces: [], log_in: null, log_out_url: "" };

test("who is not known is outside, where the server asks at all", () => {
  assert.equal(isOutside(nobody), true);
  assert.equal(isOutside({ ...nobody, name: "ann" }), false);
  assert.equal(isOutside({ ...nobody, needs_key: false }), false);
});

test("a log-in elsewhere leads back to the page that was asked for", () => {
  const address = addressOfLogIn("/ops/", "login/oidc", "runs/a%2Fb?view=history");
  assert.equal(address, "/ops/login/oidc?next=runs%2Fa%252Fb%3Fview%3Dhistory");
  assert.equal(new URL(address, "http://x").searchParams.get("next"), "runs/a%2Fb?view=history");
});

test("that the server knows nobody any more is told, but not of a key that was wrong", async () => {
  let times = 0;
  const refused = () => Promise.resolve(Response.json({ error: { code: "unauthenticated", message: "no" } }, { status: 401 }));
  const api = new Api("/", "default", refused);
  api.onunknown = () => (times += 1);
  await assert.rejects(logIn(api, "ks_wrong"));
  await assert.rejects(readSession(api));
  assert.equal(times, 0);
  await assert.rejects(api.counts());
  assert.equal(times, 1);
});

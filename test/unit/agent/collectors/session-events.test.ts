/** What is said when sessions change. */
import { sessionEvents } from "@muster/agent/collectors/session-events";
import { BgpSample } from "@muster/protocol";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const since = { at: null, exact: false };
const session = (name: string, state: string, verdict: string, more: object = {}) => ({
  name,
  state,
  protocol_state: state === "established" ? "up" : "start",
  since,
  neighbor_address: null,
  neighbor_range: null,
  neighbor_as: 64496,
  neighbor_id: null,
  neighbor_port: null,
  local_as: null,
  source_address: null,
  session_type: null,
  description: null,
  message: null,
  last_error: null,
  info: null,
  dynamic: false,
  hold_timer: null,
  keepalive_timer: null,
  send_hold_timer: null,
  neighbor_capabilities: [],
  channels: [],
  flaps: null,
  expected: "up",
  verdict,
  why: "",
  import_min: null,
  pending_until: null,
  exports_missing: null,
  ...more,
});
const sample = (reachable: boolean, ...sessions: object[]) =>
  BgpSample.parse({
    at: "2026-01-01T00:00:00Z",
    daemon: {
      name: "bird",
      reachable,
      error: reachable ? null : "no such socket",
      version: "2.0.12",
      router_id: null,
      since,
      reconfigured: since,
      state: "running",
    },
    sessions,
  });
const told = (before: BgpSample, now: BgpSample) =>
  sessionEvents(before, now).map(({ severity, what }) => `${severity}: ${what}`);
const states = (before: BgpSample, now: BgpSample) => sessionEvents(before, now).map(({ state }) => state);
const up = session("upstream", "established", "ok");
const down = session("upstream", "active", "down", { last_error: "Socket: Connection refused" });

suite("session events", (test) => {
  test("no change, no event", () => assert.equal(told(sample(true, up), sample(true, up)), []));
  test("down with the daemon's own words, and up again", () => {
    assert.equal(told(sample(true, up), sample(true, down)), [
      "error: session upstream (AS64496) went down, active: Socket: Connection refused",
    ]);
    assert.equal(told(sample(true, down), sample(true, up)), [
      "info: session upstream (AS64496) is established",
    ]);
    assert.equal(
      [states(sample(true, up), sample(true, down)), states(sample(true, down), sample(true, up))],
      [["active"], ["established"]],
    );
  });
  test("BIRD away is one event, and coming back too", () => {
    const missing = session("upstream", "unknown", "missing");
    assert.equal(told(sample(true, up), sample(false, missing)), [
      "error: BIRD does not answer: no such socket; 1 expected sessions are unknown",
    ]);
    assert.match(told(sample(false, missing), sample(true, up)).join(), /BIRD 2.0.12 answers again/);
  });
  test("a verdict that changes while the state stays", () => {
    const low = session("upstream", "established", "imports_low", {
      why: "imports 2, at least 3 are asked for",
    });
    assert.equal(told(sample(true, up), sample(true, low)), [
      "error: session upstream: imports 2, at least 3 are asked for",
    ]);
    assert.equal(told(sample(true, low), sample(true, up)), ["info: session upstream is well again"]);
  });
});

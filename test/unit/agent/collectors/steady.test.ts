/** The loop of collectors that look at what mostly stands still: what is sent when, and which faults become events. */
import { faultEvents } from "@muster/agent/collectors/fault-events";
import { ABSENT_PERIOD_MS, type Steady, steadyLoop } from "@muster/agent/collectors/steady";
import { lookAfterChanges } from "@muster/agent/collectors/steady-all";
import { Standing } from "@muster/agent/standing";
import type { Fault } from "@muster/protocol/telemetry/fault";
import type { ServicesSample } from "@muster/protocol/telemetry/services";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const fault = (what: string, more: Partial<Fault> = {}): Fault => ({
  ...{ colour: "red", what, about: null, ref: null, since: null },
  ...more,
});
const sample = (at: number, more: Partial<ServicesSample> = {}): ServicesSample => ({
  ...{ at, present: true, faults: [], systemd: { reachable: true, error: null }, services: [] },
  ...more,
});
const { signal } = new AbortController();

suite("steady collectors", (test) => {
  let now = 1_000_000;
  let next = sample(now);
  const collector: Steady<"services"> = {
    kind: "services",
    look_ms: 1,
    first_ms: 0,
    look: async () => ({ ...next, at: now }),
    shape: ({ systemd }) => systemd,
    events: () => [],
  };
  const turn = async (loop: ReturnType<typeof steadyLoop<"services">>, sent = true) => {
    const { sample: found } = await loop.turn(signal);
    if (found !== null && sent) loop.sent();
    return found !== null;
  };

  test("a change goes out at once, what stands still once a period, what found no connection with the next look", async () => {
    const loop = steadyLoop(collector, () => now);
    assert.is(await turn(loop, false), true);
    assert.is(await turn(loop), true, "it was not sent the first time");
    assert.is(await turn(loop), false);
    next = sample(now, { systemd: { reachable: false, error: "gone" } });
    assert.is(await turn(loop, false), true);
    assert.is(await turn(loop), true);
    now += 59_000;
    assert.is(await turn(loop), false);
    now += 1_000;
    assert.is(await turn(loop), true);
    assert.is(loop.last()?.systemd.error, "gone");
    now -= 500_000;
    assert.is(await turn(loop), true, "a clock that was set back");
  });

  test("all look again when another content is in force and has come to rest, not while it is being applied", () => {
    const standing = new Standing("0.1.0", () => now);
    let looks = 0;
    lookAfterChanges(standing, [{ look: () => (looks += 1) }]);
    const seen = (...change: Parameters<Standing["converge"]>) => {
      const before = looks;
      standing.converge(...change);
      return looks - before;
    };
    assert.is(seen({ generation: 7, state: "applying" }), 0);
    assert.is(seen({ generation: 7, state: "failed", detail: "locked" }), 1);
    assert.is(seen({ detail: "locked by another" }), 0);
    assert.is(seen({ state: "applying" }), 0);
    assert.is(seen({ state: "converged", detail: "" }), 1);
    assert.is(seen({ generation: 8 }), 1, "nothing of it was to do");
  });

  test("what found no connection is offered again without another look, until one is due or rung for", async () => {
    let looks = 0;
    let ring: () => void = () => undefined;
    const life = new AbortController();
    const counted: Steady<"services"> = {
      ...collector,
      look_ms: 60_000,
      look: async () => {
        looks += 1;
        return { ...sample(now), at: now };
      },
      follow(given) {
        ring = given;
      },
    };
    const loop = steadyLoop(counted, () => now);
    await loop.begin(life.signal);
    for (const after_ms of [0, 2_000, 4_000]) {
      now += after_ms;
      assert.is(await turn(loop, false), true);
    }
    assert.is(looks, 1);
    ring();
    assert.is(await turn(loop, false), true);
    assert.is(looks, 2);
    now += 60_000;
    assert.is(await turn(loop), true);
    assert.is(looks, 3);
    life.abort();
  });

  test("a host that has none of it says so at once and then seldom", async () => {
    const loop = steadyLoop(collector, () => now);
    next = sample(now);
    await turn(loop);
    next = sample(now, { present: false });
    assert.is(await turn(loop), true);
    now += ABSENT_PERIOD_MS - 1;
    assert.is(await turn(loop), false);
    now += 1;
    assert.is(await turn(loop), true);
  });

  test("a fault is told when it comes and when it is over; of declared resources the reconciler tells", () => {
    const told = (before: Fault[], after: Fault[]) =>
      faultEvents({ faults: before }, { faults: after }).map(({ severity, what }) => `${severity}: ${what}`);
    const tunnel = fault("tunnel wg0 is down");
    const slow = fault("web is slow", { colour: "amber" });
    assert.equal(told([], [tunnel, slow]), ["error: tunnel wg0 is down", "warning: web is slow"]);
    assert.equal(told([tunnel, slow], [tunnel]), ["info: over: web is slow"]);
    assert.equal(told([tunnel], [{ ...tunnel, since: 5 }]), [], "it is the same while its words are");
    assert.equal(told([], [fault("unit x failed", { ref: "service/x" })]), []);
    assert.equal(told([], [fault("it ended", { ref: "certificate/web" })]), ["error: it ended"]);
  });
});

/** A small fleet in which something is wrong, for the frames of `ctl watch`: the golden texts and the README's picture. */
import type { FleetEvent } from "@muster/protocol/event";
import type { Rollout } from "@muster/protocol/record";
import { FleetModel } from "@muster/view/model";
import { DOWN, HOUR, known, MIN, NOW, SESSION, sample } from "../report/samples.ts";

const event = (ago_ms: number, more: Partial<FleetEvent>): FleetEvent => ({
  at: NOW - ago_ms,
  kind: "convergence",
  severity: "info",
  what: "converged on generation 44",
  ...more,
});

const ROLLOUT: Rollout = {
  id: "0123456789abcdef0123456789abcdef",
  generation: 44,
  by: "alice",
  message: "no bogons",
  started_at: NOW - 40_000,
  ended_at: null,
  state: "running",
  wave: 1,
  waves: [["probe1"], ["core1", "core2"], ["ixp1"]],
  hosts: {
    probe1: { state: "converged", at: NOW - 30_000, detail: "" },
    core1: { state: "converged", at: NOW - 12_000, detail: "" },
    core2: { state: "silent", at: NOW - 9_000, detail: "not heard of since it was sent" },
    ixp1: { state: "waiting", at: NOW - 40_000, detail: "" },
  },
  detail: "",
};

export function smallFleet(): FleetModel {
  const model = new FleetModel("as64500", "alice", null);
  const heard_at = NOW - 2_000;
  const up = (...sessions: (typeof SESSION)[]) => sample(...sessions);
  model.begin(
    [
      known("core1", { heard_at, bgp: up({ ...SESSION, name: "ixp1" }, { ...SESSION, name: "probe1" }) }),
      known("core2", { heard_at: NOW - 3 * HOUR - 12 * MIN, silent: true }),
      known("ixp1", { heard_at, bgp: up(SESSION, DOWN) }),
      known("probe1", { heard_at, bgp: up({ ...SESSION, name: "core1" }) }),
    ],
    [
      {
        host: "_",
        event: event(40_000, { kind: "rollout", what: "generation 44 goes out in 3 waves", by: "alice" }),
      },
      { host: "probe1", event: event(30_000, {}) },
      { host: "core1", event: event(12_000, {}) },
      {
        host: "ixp1",
        event: event(3 * HOUR + 12 * MIN, {
          kind: "session",
          severity: "error",
          session: "locix_rs1",
          what: "locix_rs1 is down: Socket: Connection refused",
        }),
      },
    ],
  );
  model.rollout = ROLLOUT;
  return model;
}

/** What the collectors found, where a person looks: lines of `ctl status`, and the tables of `ctl health HOST`. */
import { briefOf, type HostView } from "@muster/protocol";
import type { Collected } from "@muster/protocol/rpc/health";
import type { Fault } from "@muster/protocol/telemetry/fault";
import { FleetModel } from "@muster/view/model";
import { statusOf } from "@muster/view/status";
import * as assert from "uvu/assert";
import { collectedSections } from "../../../../packages/ctl/src/report/collected.ts";
import { suite } from "../../../kit/suite.ts";
import { COLOUR, CONVERGENCE, HOUR, known, MIN, NOW, SESSION, sample } from "./samples.ts";

const fault = (what: string, more: Partial<Fault> = {}): Fault => ({
  ...{ colour: "red", what, about: null, ref: null, since: null },
  ...more,
});
const WEB = fault("container web is exited, ended with 3, and should run", {
  about: "web",
  ref: "container/web",
  since: NOW - HOUR,
});
const TUNNEL = fault("tunnel wg0 is down", { about: "wg0" });
const of = (faults: Fault[], kind = "containers", age_ms = 0) => [{ kind, heard_at: NOW - age_ms, faults }];
const lines = (...given: Parameters<typeof known>) =>
  statusOf(known(...given), NOW)
    .troubles.map(({ tint, what, next }) => `${tint}: ${what} | ${next}`)
    .filter((line) => /container|wg0|last word|certificate web/.test(line));

suite("faults of collectors", (test) => {
  test("each is a line with since when and the next command", () => {
    assert.equal(lines("core1", { faults: [...of([WEB]), ...of([TUNNEL], "wireguard")] }), [
      "red: container web is exited, ended with 3, and should run, for 1 h | ctl logs core1 container/web",
      "red: tunnel wg0 is down | on the host: wg show wg0",
    ]);
  });

  test("what the resource itself says, what a change is about to make, is not said twice; what is held is amber", () => {
    const trouble = { ref: "container/web", what: "does not stay up", since: NOW - HOUR };
    const told = lines("core1", { faults: of([WEB]), said: { state: "failed", troubles: [trouble] } });
    assert.ok(!told.some((line) => line.includes("should run")), told.join("\n"));
    assert.equal(lines("core1", { faults: of([WEB]), said: { state: "applying" } }), []);
    const held = [{ ref: "container/web", why: "tuning", by: "root", until: null }];
    assert.match(
      lines("core1", { faults: of([WEB]), said: { held } }).join("\n"),
      /amber: container web is exited/,
    );
  });

  test("a collector that says nothing any more is red, whatever it said last", () => {
    assert.equal(lines("core1", { faults: of([], "containers", 4 * MIN) }), [
      "red: its last word on containers is 4 min old | ctl health core1",
    ]);
    assert.equal(lines("core1", { faults: of([], "packages", 4 * MIN) }), [], "each kind has its own period");
    const view = (faults: HostView["faults"]): HostView => ({
      record: {
        ...{
          name: "core1",
          id: `U${"A".repeat(55)}`,
          ssh_public_key: "",
          curve: "",
          groups: [],
          enrolled_at: 0,
        },
        ...{
          enrolled_by: "alice",
          recoveries: 0,
          state: "enrolled",
          os: "Debian 12",
          agent_version: "0.1.0",
        },
        certificates: { user_jwt: 0, service: 0, ssh: 0 },
      },
      ...{ heard_at: NOW, silent: false, clock_skew_ms: 0, bgp: null, health: null },
      convergence: {
        ...CONVERGENCE,
        ...{ troubles: [], drift: [], held: [], detail: "", error: null, state: "converged", undo_at: null },
        resources: { total: 1, ok: 1, managed: {} },
        certificates: [{ name: "bus", not_after: NOW + 99 * HOUR }],
      },
      ...(faults === undefined ? {} : { faults }),
    });
    assert.ok(briefOf(view(of([])), NOW) !== null);
    assert.is(briefOf(view(of([])), NOW + 31_000), null, "what it said of its state is old");
    assert.is(briefOf(view(of([TUNNEL])), NOW), null);
    assert.is(briefOf(view(of([], "containers", 4 * MIN)), NOW), null);
  });

  test("a live view takes them as they come, and forgets a kind that the host has nothing of any more", () => {
    const model = new FleetModel("as64500", "alice", null);
    const id = "U";
    model.hear("core1", id, { kind: "convergence", sample: CONVERGENCE }, NOW);
    model.hear("core1", id, { kind: "wireguard", sample: { present: true, faults: [TUNNEL] } }, NOW);
    model.hear("core1", id, { kind: "containers", sample: { present: true, faults: [] } }, NOW);
    const kinds = () => model.hosts(NOW)[0]?.faults.map(({ kind, faults }) => [kind, faults.length]);
    assert.equal(kinds(), [
      ["wireguard", 1],
      ["containers", 0],
    ]);
    model.hear("core1", id, { kind: "wireguard", sample: { present: false, faults: [] } }, NOW);
    assert.equal(kinds(), [["containers", 0]]);
  });

  test("in a live view a host whose clock is set is as fresh as before, and one that tells nothing of its state any more is red", () => {
    const model = new FleetModel("as64500", "alice", null);
    const told = (now_ms: number, at: number, ...kinds: ("convergence" | "bgp")[]) => {
      if (kinds.includes("convergence"))
        model.hear("core1", "U", { kind: "convergence", sample: { ...CONVERGENCE, at } }, now_ms);
      const bgp = { ...sample(SESSION), at: new Date(at).toISOString() };
      if (kinds.includes("bgp")) model.hear("core1", "U", { kind: "bgp", sample: bgp }, now_ms);
      return model.hosts(now_ms).flatMap((known) => statusOf(known, now_ms).troubles);
    };
    const old = (now_ms: number, at: number, ...kinds: ("convergence" | "bgp")[]) =>
      told(now_ms, at, ...kinds).flatMap(({ about, tint, what }) =>
        about.startsWith("blind/") ? [`${about} ${tint}: ${what}`] : [],
      );
    assert.equal(old(NOW, NOW, "convergence", "bgp"), []);
    assert.equal(old(NOW + 10_000, NOW - HOUR, "convergence", "bgp"), []);
    assert.equal(old(NOW + 20_000, NOW + HOUR, "convergence", "bgp"), []);
    assert.match(
      told(NOW + 20_000, NOW + HOUR, "convergence").find(({ about }) => about === "clock")?.what ?? "",
      /ahead/,
    );
    assert.equal(old(NOW + 90_000, NOW + HOUR + 70_000, "bgp"), [
      "blind/convergence red: its last word on its state is 1 min 10 s old",
    ]);
  });

  test("ctl health HOST: a table a kind, what is not known said in words", () => {
    const container = {
      ...{
        name: "web",
        declared: true,
        state: "running",
        since: NOW - HOUR,
        image: "lab/web:1",
        image_id: `sha256:${"ab".repeat(32)}`,
      },
      ...{
        health: null,
        exit_code: null,
        restarts: 2,
        oom_killed: false,
        cpu: 0.25,
        memory_bytes: 1_048_576,
      },
      ...{ memory_limit_bytes: null, rx_bytes: 1_024, tx_bytes: 0, verdict: "ok" as const },
      ...{ ended_at: null, ended_with: null, oom_at: null },
    };
    const collected: Collected = {
      containers: {
        at: NOW,
        present: true,
        faults: [],
        engine: { reachable: true, error: null },
        containers: [container],
        left_out: 0,
      },
      packages: {
        ...{
          at: NOW,
          present: true,
          faults: [],
          asked_at: null,
          refreshed_at: null,
          updates: [],
          declared: [],
        },
        ...{ error: "apt has no lists", pending: null, security: null },
      },
      wireguard: { at: NOW, present: false, faults: [], error: null, interfaces: [] },
    };
    const text: string[] = [];
    for (const { heading, print } of collectedSections(collected, COLOUR, NOW)) {
      text.push(heading);
      print((rows, columns) => {
        for (const row of rows) text.push(columns.map(({ value }) => value(row)).join(" | "));
      });
    }
    assert.equal(text, [
      "containers: 1",
      "web | ‹green›ok‹/› | running, for 1 h | 2 | 25.0 % | 1.0 MiB | 1.0 KiB / 0 B | lab/web:1 abababababab",
      "packages: not known: apt has no lists",
    ]);
  });
});

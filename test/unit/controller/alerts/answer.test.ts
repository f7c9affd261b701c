/** What `ctl.alerts` answers fits into one message, however much there is to tell. */
import { type AlertAnswers, alertAnswers } from "@muster/controller/alerts/answers";
import { FLEET_WIDE } from "@muster/protocol/alert";
import { CONTROL } from "@muster/protocol/control/index";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_800_000_000_000;
const MESSAGE_BYTES = 1024 * 1024;

suite("the answer of alerts", (test) => {
  test("is counted in bytes, and says how many were left out", async () => {
    const alerts = Array.from({ length: 600 }, (_, at) => ({
      ...{ host: FLEET_WIDE, about: `session/${at}`, rule: "mine", severity: "page", tint: "red" },
      ...{ since: NOW, fired_at: NOW, resolved_at: null, next: "ctl bgp", told: {} },
      ...{ what: "ё".repeat(1_000), state: "firing" },
    }));
    const look = { findings: [], silent: new Set(), unsure: new Set(), not_known: [], quiet: new Map() };
    const hosts = Array.from({ length: 9_000 }, (_, at) => `${"h".repeat(50)}${at}`);
    const silences = Array.from({ length: 100 }, (_, at) => ({
      ...{ id: at.toString(16).padStart(8, "0"), selector: "all", hosts, about: ["*"], by: "alice" },
      ...{ why: "ё".repeat(500), at: NOW - at, until: NOW + 60_000 },
    }));
    const ports = {
      store: { alerts: async () => alerts, silences: async () => silences, summary: async () => null },
      ...{
        fleet: "lab",
        records: {},
        declared: { missing: () => [] },
        now: () => NOW,
        look: async () => look,
        changing: () => null,
      },
    } as unknown as AlertAnswers;
    const call = { principal: null } as never;
    const reply = await alertAnswers(ports, { emit: () => undefined }).alerts({ hosts: null } as never, call);
    assert.ok(Buffer.byteLength(JSON.stringify(reply)) < MESSAGE_BYTES, "it does not fit into one message");
    assert.is(reply.alerts.length + reply.left_out, 600);
    assert.ok(reply.alerts.length > 200, `${reply.alerts.length}`);
    CONTROL.alerts.reply.parse(reply);
    // The newest silences, of each some hosts, and how many more of both there are.
    assert.is(reply.silences[0]?.id, "00000000");
    assert.ok(reply.silences.length > 20, `${reply.silences.length}`);
    assert.is(reply.silences.length + (reply.silences_left_out ?? 0), 100);
    assert.is((reply.silences[0]?.hosts.length ?? 0) + (reply.silences[0]?.hosts_left_out ?? 0), 9_000);
    // Of those that are asked about it is said that they are silenced, wherever they stand.
    const last = hosts.at(-1) ?? "";
    const { alerts: answer } = alertAnswers(ports, { emit: () => undefined });
    const about = await answer({ hosts: [last] }, call);
    assert.is(about.silences[0]?.hosts[0], last);
    const none = await answer({ hosts: ["another"] }, call);
    assert.equal([none.silences, none.silences_left_out], [[], undefined]);
    // What is held is bounded in bytes, too.
    const records = { byName: () => ({ groups: [] }) };
    const few = { ...ports.store, silences: async () => silences.slice(0, 40) };
    const bundle = () => ({ policy: { operators: {} } });
    const one = alertAnswers({ ...ports, records, bundle, store: few } as never, { emit: () => undefined });
    const request = { selector: "all", hosts, about: ["*"], why: "x", for_ms: 60_000 } as never;
    const call_of_alice = { principal: { name: "alice", rank: "operator" } } as never;
    try {
      await one.silence(request, call_of_alice);
      assert.unreachable();
    } catch (error) {
      assert.match(String(error), "name too many hosts");
    }
  });
});

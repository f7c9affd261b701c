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
    const ports = {
      store: { alerts: async () => alerts, silences: async () => [], summary: async () => null },
      ...{ fleet: "lab", records: {}, now: () => NOW, look: async () => look, changing: () => null },
    } as unknown as AlertAnswers;
    const call = { principal: null } as never;
    const reply = await alertAnswers(ports, { emit: () => undefined }).alerts({ hosts: null } as never, call);
    assert.ok(Buffer.byteLength(JSON.stringify(reply)) < MESSAGE_BYTES, "it does not fit into one message");
    assert.is(reply.alerts.length + reply.left_out, 600);
    assert.ok(reply.alerts.length > 200, `${reply.alerts.length}`);
    CONTROL.alerts.reply.parse(reply);
  });
});

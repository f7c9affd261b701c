/** A controller whose alerts are not stored, and that leads no more: whether they are stored is told by who leads now. */
import { type AlertPorts, AlertWatch } from "@muster/controller/alerts/watch";
import { Storage } from "@muster/controller/records/storage";
import { openLog } from "@muster/ports/log";
import { FleetError } from "@muster/protocol";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_800_000_000_000;

suite("alerts of who leads no more", (test) => {
  test("what could not be stored is said while it leads, and not for ever", async () => {
    const storage = new Storage(() => NOW);
    let leads = true;
    // A broker whose disk is full: it answers reads, and no write.
    const store = {
      ...{ rules: async () => null, silences: async () => [], alerts: async () => [] },
      routes: async () => new Map(),
      putSummary: async () => {
        throw new FleetError("TIMEOUT", "its disk may be full");
      },
    };
    const ports = {
      ...{ store, storage, fleet: "as64500", log: openLog({ name: "test", level: "silent" }) },
      ...{ now: () => NOW, leading: () => leads, hearing: () => "well", changing: () => null },
      look: async () => ({
        findings: [],
        silent: new Set(),
        quiet: new Map(),
        unsure: new Set(),
        not_known: [],
      }),
      ...{ verifier: () => undefined, secret: async () => "", forget: () => undefined },
      outlets: { use: () => undefined, standings: () => [] },
    } as unknown as AlertPorts;
    const watch = new AlertWatch(ports, new AbortController().signal);
    const round = () => watch.round().catch((error: FleetError) => error.code);
    assert.is(await round(), "TIMEOUT");
    assert.is(storage.stalled_since, NOW);
    leads = false;
    await round();
    assert.is(storage.stalled_since, null);
  });
});

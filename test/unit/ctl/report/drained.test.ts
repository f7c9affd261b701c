/** Drained hosts and the far ends of their sessions, in `ctl status`, `ctl bgp` and `ctl watch`: amber with who, why and until, and nothing red. */
import { readFileSync } from "node:fs";
import { sessionEvents } from "@muster/agent/collectors/session-events";
import { openEvents } from "@muster/agent/events";
import { openLog } from "@muster/ports/log";
import { asDrained } from "@muster/protocol/drained";
import { drainsOf, judgedWith } from "@muster/view/drained";
import { seenWith } from "@muster/view/known";
import { FleetModel } from "@muster/view/model";
import { seen } from "@muster/view/seen";
import { isRed } from "@muster/view/sessions";
import { statusOf } from "@muster/view/status";
import * as assert from "uvu/assert";
import { eventLines } from "../../../../packages/ctl/src/report/event.ts";
import { statusColumns, statusExit, troubleLines } from "../../../../packages/ctl/src/report/status.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";
import { COLOUR, CONVERGENCE, DOWN, HOUR, known, NOW, SESSION, sample } from "./samples.ts";

const DRAINED = {
  since: NOW - HOUR,
  by: "alice",
  why: "switch swap",
  until: NOW + HOUR,
  in_effect: true,
  addresses: ["2001:db8:5000:ff01::2"],
};
const WORDS = "drained by alice until 2026-11-21 07:24 UTC: switch swap";
const HERE = asDrained(DOWN, WORDS);
const FAR = {
  ...DOWN,
  name: "ixp1",
  neighbor_address: "2001:db8:5000:ff01::2",
  message: null,
  why: "active",
};

const ixp1 = known("ixp1", { said: { drained: DRAINED }, bgp: sample(SESSION, HERE) });
const core1 = known("core1", { bgp: sample(SESSION, FAR) });

suite("drained hosts in what ctl shows", (test) => {
  test("status: nothing is red here and at the far end, and each row says who, why and until", () => {
    const drains = drainsOf([ixp1, core1], NOW);
    const rows = [ixp1, core1].map((each) => statusOf(seenWith(each, drains), NOW));
    assert.equal(troubleLines(rows, COLOUR), [
      "‹amber›ixp1‹/›  drained since 05:24 UTC by alice until 2026-11-21 07:24 UTC: switch swap      ctl undrain ixp1",
      `‹amber›ixp1‹/›  locix_rs1 drained 3 h 12 min: ${WORDS} (${DOWN.why})      ctl bgp ixp1 locix_rs1`,
      `‹amber›core1‹/›  ixp1 drained 3 h 12 min: ixp1 is ${WORDS} (active)      ctl bgp core1 ixp1`,
    ]);
    const shown = statusColumns(NOW, COLOUR).find(({ title }) => title === "SESSIONS");
    assert.equal(
      rows.map((row) => shown?.value(row)),
      ["‹amber›1/2‹/›", "‹amber›1/2‹/›"],
    );
    assert.is(statusExit(rows), 0);
    assert.is(statusExit([statusOf(core1, NOW)]), 1, "without the drain it is red");
  });

  test("past its time the drain is red; its sessions stay amber and say so", () => {
    const late = NOW + 2 * HOUR;
    const fresh = { ...sample(FAR), at: new Date(late).toISOString() };
    const convergence = { ...CONVERGENCE, at: late };
    const there = statusOf(seenWith({ ...core1, convergence, bgp: fresh }, drainsOf([ixp1], late)), late);
    assert.match(there.troubles[0]?.what ?? "", /drained by alice, SHOULD BE BACK since/);
    assert.equal(
      statusOf({ ...ixp1, bgp: null, convergence: { ...CONVERGENCE, drained: DRAINED } }, late)
        .troubles.filter(({ what }) => what.includes("switch swap"))
        .map(({ tint }) => tint),
      ["red"],
    );
  });

  test("only sessions with that host: another neighbour's are as red as before, and so are those that are up", () => {
    const drains = drainsOf([ixp1], NOW);
    const [other, far, up] = judgedWith(drains, "core1", [
      DOWN,
      FAR,
      { ...SESSION, neighbor_address: FAR.neighbor_address },
    ]);
    assert.ok(other !== undefined && isRed(other));
    assert.equal([far?.verdict, up?.verdict], ["drained", "ok"]);
    assert.equal(drainsOf([core1], NOW).size, 0);
  });

  test("watch: a drain that is heard judges the neighbour's session at once, whoever is chosen", () => {
    const model = new FleetModel("as64500", "alice", new Set(["core1"]));
    model.begin([core1], []);
    const far = () =>
      seen(model, NOW).sessions.find(({ session }) => session.name === "ixp1")?.session.verdict;
    assert.is(far(), "down");
    model.hear("ixp1", "U1", { kind: "convergence", sample: { ...CONVERGENCE, drained: DRAINED } }, NOW);
    assert.is(far(), "drained");
    model.hear("ixp1", "U1", { kind: "convergence", sample: CONVERGENCE }, NOW);
    assert.is(far(), "down");
    model.begin([core1], [], [ixp1]);
    assert.is(far(), "drained");
  });

  test("events: a session that falls while drained is a warning, and what happens then is marked", async () => {
    const [fallen] = sessionEvents(sample({ ...DOWN, ...SESSION, name: "locix_rs1" }), sample(HERE));
    assert.is(fallen?.severity, "warning");
    const directory = await temporaryDirectory("events");
    let drained = true;
    const log = openLog({ name: "test", level: "silent" });
    const files = { log: `${directory.path}/events.jsonl`, spool: `${directory.path}/spool.json` };
    const events = await openEvents(
      files,
      () => null,
      log,
      () => NOW,
      () => drained,
    );
    events.tell({ kind: "session", severity: "warning", what: "down" });
    events.tell({ kind: "drain", severity: "warning", what: "drained: switch swap" });
    drained = false;
    events.tell({ kind: "session", severity: "warning", what: "down again" });
    const stop = AbortSignal.abort();
    await events.run(stop);
    const { waiting } = JSON.parse(readFileSync(files.spool, "utf8"));
    assert.equal(
      waiting.map(({ event }: { event: { drained?: true } }) => event.drained ?? false),
      [true, false, false],
    );
    const line = eventLines({ host: "ixp1", event: waiting[0].event }, COLOUR).join();
    assert.match(line, /ixp1 \(drained\) {2}session/);
    await directory.release();
  });
});

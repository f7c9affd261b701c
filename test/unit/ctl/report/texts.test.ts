/**
 * What a person reads, as golden texts: plans, outcomes, status, sessions, a diagnosis, events, facts. Colours stand as ‹red›…‹/›.
 * GOLDEN=1 writes them anew.
 */
import { FleetError, type FleetEvent } from "@muster/protocol";
import { notEnrolled } from "@muster/view/known";
import { sortedRows } from "@muster/view/sessions";
import { statusOf } from "@muster/view/status";
import * as assert from "uvu/assert";
import type { Progress } from "../../../../packages/ctl/src/apply/outcome.ts";
import { tableLines } from "../../../../packages/ctl/src/output/table.ts";
import { wideLines } from "../../../../packages/ctl/src/report/details.ts";
import { diagnosisLines } from "../../../../packages/ctl/src/report/diagnosis.ts";
import { eventLines } from "../../../../packages/ctl/src/report/event.ts";
import { factLines, healthColumns } from "../../../../packages/ctl/src/report/facts.ts";
import { outcomeLine } from "../../../../packages/ctl/src/report/outcome.ts";
import { pastLines } from "../../../../packages/ctl/src/report/past.ts";
import { planLines } from "../../../../packages/ctl/src/report/plan.ts";
import { sessionColumns } from "../../../../packages/ctl/src/report/sessions.ts";
import { statusColumns, statusExit, troubleLines } from "../../../../packages/ctl/src/report/status.ts";
import { suite } from "../../../kit/suite.ts";
import {
  COLOUR,
  DAY,
  DOWN,
  golden,
  HOUR,
  known,
  LIMITED,
  MIN,
  NOW,
  PENDING,
  plan,
  planned,
  SESSION,
  STRANGER,
  sample,
  step,
} from "./samples.ts";

suite("texts", (test) => {
  test("a fleet-wide plan", async () => {
    const bird = plan(
      "ixp1",
      [
        step("bird/main", "configure", "bird.conf +1 -1", {
          diff: "@@ -6,3 +6,3 @@\n protocol kernel {}\n-  if net ~ [ 2001:db8:5000::/36+ ] then reject;\n+  if net ~ [ 2001:db8:5000::/36+, ::/8+ ] then reject;\n }",
          effect: "filters reload in place, no session resets",
        }),
      ],
      {
        notes: ["checked by BIRD 2.0.12 there"],
        guard: { window_ms: 60_000, sessions: ["upstream", "core1"], also: ["ssh", "a new bus connection"] },
      },
    );
    const motd = [
      step("file//etc/motd", "write", "motd +1 -0", { args: { makes: true }, diff: "@@ -0,0 +1 @@\n+hello" }),
      step("service/sshd", "reload", "file//etc/motd changed", { effect: "reloads sshd", reversible: false }),
      step("file//etc/old", "remove", "no longer declared"),
    ];
    const rows = [
      planned("ixp1", bird),
      planned("core1", plan("core1", motd)),
      planned("core2", plan("core2", motd)),
      planned("core3", plan("core3", []), { changed: false }),
      planned(
        "core4",
        plan("core4", [], {
          drift: [{ ref: "bird/main", what: "edited by root 03:12", since: NOW, action: "left" }],
          waiting: [{ ref: "file//etc/x", why: "held until 2026-11-22 by alice: switch swap" }],
          left: [{ ref: "directory//srv", why: "Muster did not make it" }],
        }),
        {
          changed: false,
          held_back: [
            { ref: "file//etc/motd", why: "rolled back; held until the folder differs from what failed" },
          ],
        },
      ),
      planned("core5", null),
      planned("core6", new FleetError("BIRD_REFUSED", "/etc/bird/bird.conf:12:3 syntax error")),
      planned("core7", plan("core7", [])),
      planned(
        "core8",
        plan("core8", [step("file//etc/motd", "write", "motd +1 -0")], {
          refused: [
            { ref: "bird/main", error: { code: "BIRD_REFUSED", detail: "bird.conf:3:1 syntax error" } },
          ],
          waiting: [{ ref: "bird/main", why: "bird.conf:3:1 syntax error" }],
        }),
      ),
    ];
    await golden(
      "plan",
      planLines(rows, { pending: [{ name: "probe1", count: 1 }], not_enrolled: ["probe2"] }, COLOUR),
    );
  });

  test("what became of a change", async () => {
    const told = (outcome: Progress["outcome"], after_ms: number, detail = ""): Progress => ({
      outcome,
      after_ms,
      detail,
      error: null,
    });
    await golden("outcome", [
      outcomeLine("core1", told("converged", 840), COLOUR),
      outcomeLine(
        "ixp1",
        told(
          "undone",
          61_000,
          "upstream imported 182,301, now 12 (guard: within 10 %); back after 2 s. bird.conf is as before.",
        ),
        COLOUR,
      ),
      outcomeLine(
        "ixp1",
        told(
          "undone",
          61_000,
          "bird/main: undone after 60 s: upstream imported 4, now 0 (guard: within 10 %)",
        ),
        COLOUR,
      ),
      outcomeLine("ixp2", told("failed", 900, "failed: file//etc/motd: no space left on device"), COLOUR),
      outcomeLine("ixp3", told("refused", 300, "an empty state needs --force"), COLOUR),
      outcomeLine(
        "probe1",
        told("silent", 5_000, "silent before its manifest went out; it converges when it is back"),
        COLOUR,
      ),
      outcomeLine("probe2", told("not begun", 5_000, "1 failed, 0 allowed: ixp1"), COLOUR),
    ]);
  });

  test("status: every state with its words, red first, each with the next command", async () => {
    const rows = [
      known("core1"),
      known("ixp1", { bgp: sample(SESSION, DOWN, PENDING) }),
      known("ixp2", {
        said: {
          state: "undone",
          since: NOW - 10 * MIN,
          detail: "upstream imported 182,301, now 12 (guard: within 10 %)",
        },
      }),
      known("ixp3", { silent: true, heard_at: NOW - 3 * HOUR - 12 * MIN }),
      known("ixp4", {
        said: {
          drift: [{ ref: "bird/main", what: "edited by root 03:12", since: NOW - HOUR, action: "left" }],
          held: [
            { ref: null, why: "switch swap", by: "alice", until: NOW + 2 * HOUR },
            { ref: "file//etc/motd", why: "a banner", by: "root", until: null },
          ],
        },
      }),
      known("ixp5", {
        said: { state: "watched", generation: null, resources: { total: 0, ok: 0, managed: {} } },
        bgp: null,
        signed_generation: null,
      }),
      known("ixp6", { said: { generation: 43 } }),
      known("ixp7", {
        said: {
          troubles: [{ ref: "file//etc/motd", what: "no space left on device", since: NOW - 5 * MIN }],
          state: "failed",
          detail: "file//etc/motd: no space left on device",
          since: NOW - 5 * MIN,
        },
      }),
      known("ixp8", {
        bgp: {
          ...sample({ ...DOWN, verdict: "missing", why: "BIRD does not answer" }),
          daemon: { ...sample().daemon, reachable: false, error: "connect ENOENT /run/bird/bird.ctl" },
        },
      }),
      known("ixp9", { bgp: { ...sample(SESSION), at: new Date(NOW - 13 * DAY).toISOString() } }),
      known("core2", {
        certificates: [
          { name: "bus", not_after: NOW + DAY },
          { name: "ssh", not_after: NOW - HOUR },
        ],
      }),
      known("core3", { clock_skew_ms: -61_000 }),
      notEnrolled("probe1", ["probe"]),
    ].map((each) => statusOf(each, NOW));
    await golden("status", [...tableLines(rows, statusColumns(NOW, COLOUR)), ...troubleLines(rows, COLOUR)]);
    assert.is(statusExit(rows), 1);
    assert.is(statusExit([statusOf(known("a"), NOW), statusOf(notEnrolled("b", []), NOW)]), 1);
    assert.is(statusExit([statusOf(known("a", { silent: true }), NOW)]), 5);
  });

  test("sessions: red first, counts, and the verdict in words", async () => {
    const rows = sortedRows([
      { host: "core1", session: SESSION },
      { host: "ixp1", session: STRANGER },
      { host: "ixp1", session: PENDING },
      { host: "ixp1", session: DOWN },
      {
        host: "ixp1",
        session: { ...SESSION, verdict: "imports_low", why: "imported 1, at least 3 expected" },
      },
    ]);
    await golden("sessions", tableLines(rows, sessionColumns(NOW, COLOUR), true));
  });

  test("a diagnosis, not a dump", async () => {
    const path = {
      interface: "eth1",
      interface_up: true,
      reply_ms: 0.43,
      port_179: "refused",
      last_change_here_at: NOW - 9 * DAY,
    } as const;
    const down = {
      sample: sample(DOWN),
      session: DOWN,
      path,
    };
    const away = {
      ...down,
      session: { ...DOWN, was: { up_ms: null, imported: null, exported: 1 } },
      path: { ...path, reply_ms: null, port_179: "silent", last_change_here_at: null } as const,
    };
    const unrouted = {
      ...away,
      session: { ...DOWN, was: { up_ms: 90_000, imported: null, exported: null } },
      path: {
        ...path,
        interface: null,
        interface_up: null,
        reply_ms: null,
        port_179: "unreachable",
      } as const,
    };
    const low = { ...SESSION, verdict: "imports_low", why: "imported 1, at least 3 expected" } as const;
    const busy = {
      ...sample(LIMITED),
      daemon: { ...sample().daemon, undo_in_s: 43 },
      bfd: [
        {
          ...{ protocol: "bfd1", address: "2001:db8:ffff::1", interface: "eth1", state: "down" },
          ...{ since: { at: null, exact: false }, interval_s: 1, timeout_s: 0 },
        },
      ],
    };
    await golden("diagnosis", [
      ...diagnosisLines(down, NOW, COLOUR),
      "",
      ...diagnosisLines(away, NOW, COLOUR),
      "",
      ...diagnosisLines(unrouted, NOW, COLOUR),
      "",
      ...diagnosisLines(
        { sample: sample(low), session: low, path: { ...path, port_179: "open" } },
        NOW,
        COLOUR,
      ),
      "",
      ...diagnosisLines({ sample: sample(PENDING), session: PENDING, path: null }, NOW, COLOUR),
      "",
      ...diagnosisLines({ sample: busy, session: LIMITED, path: null }, NOW, COLOUR),
      ...wideLines(LIMITED),
    ]);
  });

  test("the past of a session: its routes, how it came and went, how often it was down", async () => {
    const told = (ago_ms: number, state: string, what: string): FleetEvent => ({
      ...{ at: NOW - ago_ms, kind: "session", session: "upstream", what: `session upstream${what}` },
      severity: state === "established" || state === "" ? "info" : "error",
      ...(state === "" ? {} : { state }),
    });
    const begun = NOW - DAY;
    const routes = Array.from({ length: 24 * 60 }, (_, minute) => ({
      at: begun + minute * MIN,
      imported: minute === 700 ? 40 : minute > 900 && minute < 960 ? null : 182_000 + minute,
    })).filter(({ at }) => at < NOW - 6 * HOUR || at > NOW - 4 * HOUR);
    const events = [
      told(9 * DAY, "", " is new: active"),
      told(8 * DAY, "active", " (AS64496) went down, active: Received: Hold timer expired"),
      told(8 * DAY - 3 * MIN, "established", " (AS64496) is established"),
      told(7 * HOUR, "", ": imported 1, at least 3 expected"),
      told(6 * HOUR, "idle", " (AS64496) went down, idle: Socket: Connection reset"),
      told(4 * HOUR, "established", " (AS64496) is established"),
    ];
    const many = Array.from({ length: 8 }, (_, at) => [
      told(2 * DAY - at * HOUR, "active", " went down, active"),
      told(2 * DAY - at * HOUR - MIN, "established", " is established"),
    ]).flat();
    const of = { host: "ixp1", session: "upstream" };
    const one = [{ at: NOW, imported: 5 }];
    await golden("past", [
      ...pastLines({ ...of, events, routes, since: begun }, NOW, COLOUR),
      "",
      ...pastLines({ ...of, events: many, routes: one, since: NOW - 2 * HOUR }, NOW, COLOUR),
      "",
      ...pastLines({ ...of, events: [], routes: [{ at: NOW, imported: null }], since: begun }, NOW, COLOUR),
    ]);
  });

  test("events, facts and health", async () => {
    await golden("events", [
      ...eventLines(
        {
          host: "ixp1",
          event: {
            at: NOW,
            kind: "session",
            severity: "error",
            what: "upstream is down: Socket: Connection refused",
            session: "upstream",
          },
        },
        COLOUR,
      ),
      ...eventLines(
        {
          host: "_",
          event: {
            at: NOW,
            kind: "rollout",
            severity: "info",
            what: "alice rolls out generation 44 to 3 hosts in 1 wave",
            by: "alice",
          },
        },
        COLOUR,
      ),
      ...eventLines(
        {
          host: "core1",
          late_ms: 12 * 60_000,
          event: {
            at: NOW,
            kind: "drift",
            severity: "warning",
            what: "file//etc/motd edited by root 03:12; put back",
            diff: "@@ -1 +1 @@\n-hello\n+hacked",
          },
        },
        COLOUR,
      ),
    ]);
    const health = {
      at: NOW,
      uptime_s: 3 * 86_400,
      load: [0.1, 0.22, 0.3],
      cpu_busy: 0.95,
      cores: 2,
      memory: { total_bytes: 4e9, available_bytes: 3e9, swap_used_bytes: 0 },
      disks: [
        { mount: "/", size_bytes: 100, used_bytes: 40 },
        { mount: "/var", size_bytes: 100, used_bytes: 93 },
      ],
      interfaces: [{ name: "eth1", rx_bytes: 0, tx_bytes: 0, up: false }],
      failed_units: ["cron.service"],
      agent: { rss_bytes: 64 * 1024 * 1024, cpu_s: 20, uptime_s: 10_000 },
    };
    await golden("facts", [
      ...factLines({
        hostname: "ixp1",
        os: "Debian 12",
        kernel: "6.1.0-28",
        arch: "x64",
        virtual: "kvm",
        cpu: "AMD EPYC",
        cores: 2,
        memory_bytes: 4_026_531_840,
        boot_at: NOW - 3 * DAY,
        reboot_due: true,
        addresses: [
          { interface: "eth0", address: "2001:db8:f00::11/64" },
          { interface: "eth1", address: "2001:db8:1ee::2/64" },
        ],
        bird: "2.0.12",
        agent_version: "0.1.0",
        groups: ["ixp", "routers"],
        labels: { site: "ams" },
      }),
      "",
      ...tableLines([{ host: "ixp1", health }], healthColumns(COLOUR), true),
    ]);
  });
});

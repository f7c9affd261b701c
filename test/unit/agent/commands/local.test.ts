/** `muster-agent status`, `hold` and `unhold` as a person types them on a host: an agent's files below a prefix, alive or dead. */
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Convergence } from "@muster/protocol";
import * as assert from "uvu/assert";
import { holdAlone } from "../../../../packages/agent/src/alone.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const MAIN = fileURLToPath(new URL("../../../../packages/agent/src/main.ts", import.meta.url));
const TIME = /\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC/;

const CONVERGENCE: Convergence = {
  at: 0,
  state: "failed",
  since: 0,
  generation: 4,
  content_hash: null,
  release: null,
  detail: "",
  error: "FAILED",
  resources: { total: 2, ok: 1, managed: { file: 2 } },
  troubles: [{ ref: "file//etc/motd", what: "no space left on device", since: 0 }],
  drift: [{ ref: "bird/main", what: "edited by root 03:12", since: 0, action: "left" }],
  held: [],
  undo_at: Date.parse("2026-11-21T11:13:20Z"),
  certificates: [],
  agent_version: "0.1.0",
  last_apply_ms: null,
};

suite(
  "muster-agent on the host",
  (test) => {
    let prefix = "";
    let release: () => Promise<void>;
    const life = new AbortController();
    test.before(async () => {
      ({ path: prefix, release } = await temporaryDirectory("local"));
      await writeFile(join(prefix, "agent.json"), JSON.stringify({ prefix }));
      await mkdir(join(prefix, "run/muster-agent"), { recursive: true });
      const status = {
        at: 0,
        pid: process.pid,
        line: "enrolled as ixp1, generation 4 failed",
        host: "ixp1",
        id: null,
        enrolment: null,
        broker: null,
        convergence: CONVERGENCE,
      };
      await writeFile(join(prefix, "run/muster-agent/status.json"), JSON.stringify(status));
    });
    test.after(async () => {
      life.abort();
      await release();
    });
    const agent = (...words: string[]) =>
      new Promise<{ code: number; out: string }>((resolve) => {
        const args = ["--import", "tsx", MAIN, ...words, "--config", join(prefix, "agent.json")];
        execFile(process.execPath, args, (error, stdout, stderr) =>
          resolve({ code: Number(error?.code ?? 0), out: stdout + stderr }),
        );
      });

    test("a dead agent's last troubles and drift are shown as old", async () => {
      // The number in the file is that of a living program, which is no agent.
      const { code, out } = await agent("status");
      assert.is(code, 1, out);
      assert.is(
        out,
        `muster-agent does not run; when it ran: enrolled as ixp1, generation 4 failed
failed       when it ran: file//etc/motd: no space left on device
drift        when it ran: bird/main edited by root 03:12: left
`,
      );
    });

    test("a living one's as they are, with times for people", async () => {
      await holdAlone(join(prefix, "var/lib/muster-agent/alone.sock"), life.signal);
      const { out } = await agent("status");
      assert.is(
        out,
        `enrolled as ixp1, generation 4 failed
failed       file//etc/motd: no space left on device
drift        bird/main edited by root 03:12: left
unconfirmed  taken back at 2026-11-21 11:13 UTC unless it stays good
`,
      );
    });

    test("a hold says until when, and ends under its own name only", async () => {
      const held = await agent("hold", "file//etc/motd", "2h", "--why", "a banner");
      assert.match(held.out, new RegExp(`^file//etc/motd is held until ${TIME.source}\n$`));
      const line = new RegExp(`\nhold +file//etc/motd held by \\S+ until ${TIME.source}: a banner\n`);
      assert.match((await agent("status")).out, line);
      const other = await agent("unhold");
      assert.is(other.code, 1);
      assert.match(other.out, /the whole host was not held here/);
      assert.match((await agent("unhold", "file//etc/motd")).out, /is no longer held/);
      // Who takes the file away wants no holds, and the one that ended stands in the version before.
      const file = join(prefix, "var/lib/muster-agent/holds.json");
      assert.match(await readFile(`${file}.previous`, "utf8"), /a banner/);
      await rm(file);
      assert.not.match((await agent("status")).out, /hold/);
      assert.is((await agent("unhold", "file//etc/motd")).code, 1);
    });

    test("what is damaged is told, and stays as it is: who looks changes nothing", async () => {
      const state = join(prefix, "var/lib/muster-agent");
      await mkdir(join(state, "unconfirmed", "0".repeat(32)), { recursive: true });
      for (const name of ["checks.json", "ledger.json", "holds.json"])
        await writeFile(join(state, name), "{");
      const before = await readdir(state, { recursive: true });
      const { code, out } = await agent("status");
      assert.is(code, 1);
      for (const name of ["checks", "ledger", "holds"])
        assert.match(out, new RegExp(`\ndamaged +\\S*/${name}\\.json: `), out);
      assert.equal((await readdir(state, { recursive: true })).sort(), before.sort());
    });
  },
  { limit_ms: 120_000 },
);

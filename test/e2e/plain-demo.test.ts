// limit: 240 s
/**
 * The demo as an ordinary user without Docker: a throw-away account with a clone of its own. It ends with the same table, its `./ctl` works, what cannot be
 * had is said to be unsupported, and `down` leaves nothing.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as assert from "uvu/assert";
import { binary } from "../kit/binaries.ts";
import { temporaryDirectory } from "../kit/child.ts";
import { patienceOf } from "../kit/patience.ts";
import { suite } from "../kit/suite.ts";
import { measured } from "./kit.ts";
import { ROOT } from "./lab.ts";

const USER = `muster-try-${process.pid}`;

suite(
  "the demo as an ordinary user",
  (test) => {
    let home = "";
    let release = async () => {};
    const clone = () => join(home, "clone");
    const host = (name: string, path: string) =>
      join(home, ".local/state/muster/demo-plain/hosts", name, path);

    /** Runs something as that person, with nothing of root's environment. */
    const as = async (cwd: string, ...argv: string[]) => {
      const env = {
        HOME: home,
        PATH: `${home}/bin:${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
      };
      const identity = ["--reuid", USER, "--regid", USER, "--init-groups", "--"];
      const child = spawn("setpriv", [...identity, ...argv], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
      let stdout = "";
      let stderr = "";
      child.stdout.on("data", (chunk) => {
        stdout += chunk;
      });
      child.stderr.on("data", (chunk) => {
        stderr += chunk;
      });
      const begun_ms = performance.now();
      const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
      return { code, stdout, stderr, ms: performance.now() - begun_ms, all: stdout + stderr };
    };
    const ctl = (...args: string[]) => as(join(clone(), "demo"), "./ctl", ...args);
    const demo = (...args: string[]) => as(clone(), "npm", "run", "-s", "demo", "--", ...args);
    const processes = () => {
      try {
        const lines = execFileSync("ps", ["-u", USER, "-o", "args="], { encoding: "utf8" }).split("\n");
        // One that ended stays in the list where nobody inherits it, as in a container.
        return lines.filter((line) => line !== "" && !line.includes("<defunct>")).join("\n");
      } catch {
        // ps ends with 1 when there is none.
        return "";
      }
    };

    test.before(
      async () => {
        assert.is(process.getuid?.(), 0, "this story makes an account: run it as root");
        const directory = await temporaryDirectory("ordinary");
        home = directory.path;
        release = directory.release;
        execFileSync("useradd", ["--no-create-home", "--home-dir", home, "--user-group", USER]);
        mkdirSync(join(home, "bin"));
        for (const name of ["nats-server", "vault"] as const)
          execFileSync("cp", [await binary(name), join(home, "bin", name)]);
        mkdirSync(clone());
        const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: ROOT });
        const archive = execFileSync("tar", ["-c", "--ignore-failed-read", "-T", "-"], {
          cwd: ROOT,
          input: files,
          maxBuffer: 256 * 1024 * 1024,
        });
        execFileSync("tar", ["-x"], { cwd: clone(), input: archive });
        // As `npm ci` would make them, and without a registry.
        const modules = "find . -name node_modules -prune -print0 | xargs -0 cp -a --parents -t";
        execFileSync("sh", ["-c", `${modules} '${clone()}'`], { cwd: ROOT });
        execFileSync("chown", ["-R", `${USER}:`, home]);
        execFileSync("chmod", ["755", home]);
      },
      { limit_ms: 90_000 },
    );
    test.after(async () => {
      if (existsSync(join(clone(), "package.json"))) await demo("down");
      execFileSync("userdel", [USER]);
      await release();
    });

    test("comes up with the table, and says what it does not show", async () => {
      const up = await demo();
      assert.is(up.code, 0, up.all);
      measured("the demo as an ordinary user, from nothing", `${Math.round(up.ms / 1000)} s`);
      for (const name of ["core1", "ixp1", "probe1"])
        assert.match(up.stdout, new RegExp(`^${name} .*converged`, "m"), up.all);
      assert.match(up.stdout, /^Not shown without root and Docker: BGP/m);
      assert.match(readFileSync(host("core1", "etc/motd"), "utf8"), /core1/);
      assert.not.match(up.all, /docker exec/);
      const again = await demo();
      assert.is(again.code, 0, again.all);
      assert.match(again.stdout, /up already; nothing was changed/);
    });

    test("./ctl plans and applies, and a hand edit is put back", async () => {
      const template = join(clone(), "demo/inventory/templates/motd.j2");
      writeFileSync(template, `${readFileSync(template, "utf8")}from an ordinary user\n`);
      assert.is((await ctl("plan")).code, 3);
      const applied = await ctl("apply", "-y");
      assert.is(applied.code, 0, applied.all);
      for (const name of ["core1", "ixp1", "probe1"])
        assert.match(readFileSync(host(name, "etc/motd"), "utf8"), /from an ordinary user/);
      writeFileSync(host("core1", "etc/motd"), "by hand\n");
      const patience = patienceOf(4_000);
      while (readFileSync(host("core1", "etc/motd"), "utf8") === "by hand\n") {
        assert.not.ok(patience.over(), `it is not put back after ${patience.text()}`);
        await sleep(50);
      }
    });

    test("what needs the machine is unsupported, with the reason, and never a success", async () => {
      const file = join(clone(), "demo/inventory/resources/core1.yml");
      const kinds = {
        service: "service: { ssh: {} }",
        sysctl: "sysctl: { net.ipv6.conf.all.forwarding: 1 }",
        package: "package: { bird2: {} }",
        user: "user: { noc: {} }",
        timer: 'timer: { tick: { every: 1h, command: "true" } }',
      };
      const more = 'file: { /etc/netinfo/also: { content: "works\\n" } }';
      writeFileSync(file, `${[...Object.values(kinds), more].join("\n")}\n`);
      const applied = await ctl("apply", "core1", "-y");
      assert.is(applied.code, 1, applied.all);
      for (const kind of Object.keys(kinds))
        assert.match(
          applied.stdout,
          new RegExp(`${kind}/.*a ${kind} needs the whole machine: this agent manages /`),
        );
      assert.is(readFileSync(host("core1", "etc/netinfo/also"), "utf8"), "works\n");
      const status = await ctl("status");
      assert.is(status.code, 1);
      assert.match(status.stdout, /^core1 .*failed/m);
      rmSync(file);
      assert.is((await ctl("apply", "-y")).code, 0);
    });

    test("down removes all of it", async () => {
      assert.match(processes(), /nats-server[\s\S]*/);
      const down = await demo("down");
      assert.is(down.code, 0, down.all);
      assert.match(down.stdout, /6 processes/);
      assert.is(processes(), "");
      for (const left of [".local/state/muster/demo-plain", "clone/demo", ".config/muster/demo"])
        assert.not.ok(existsSync(join(home, left)), left);
      const git = await as(clone(), "ls", "inventory/hosts.lock");
      assert.is.not(git.code, 0);
    });
  },
  { limit_ms: 120_000 },
);

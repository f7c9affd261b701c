// limit: 240 s
/**
 * docs/runbook/vault.md, word for word, on three real servers with TLS and raft, while a controller signs all the time: made, a leader killed, a server
 * replaced, saved, upgraded in turn, restored. What it must show: no signature fails, and nobody has to be told which server leads.
 */
import { setMaxListeners } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeSshKey } from "@muster/agent/sshkey";
import { exchange } from "@muster/agent/vault-exchange";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { openLog } from "@muster/ports/log";
import { pki } from "@muster/ports/pki";
import { sshCa } from "@muster/ports/sshca";
import { transit } from "@muster/ports/transit";
import { readJoinString, splitJoinString } from "@muster/protocol/join";
import { createNkey } from "@muster/protocol/nkey";
import * as assert from "uvu/assert";
import { vaultIssuer } from "../../../../packages/controller/src/certificates/issuer.ts";
import { readConfig } from "../../../../packages/controller/src/config.ts";
import { logIn } from "../../../../packages/controller/src/vault.ts";
import { binary } from "../../../kit/binaries.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { slowness } from "../../../kit/figures.ts";
import { openRunbook } from "../../../kit/runbook.ts";
import { suite } from "../../../kit/suite.ts";
import { type Cluster, openCluster } from "./cluster.ts";

/** A controller that never rests: what failed, and the longest that one signature took. */
type Signing = { readonly count: number; readonly failures: readonly string[]; readonly slowest_ms: number };

suite(
  "three Vault servers",
  (test) => {
    const life = new AbortController();
    setMaxListeners(0, life.signal);
    const page = openRunbook("vault");
    let cluster: Cluster;
    let release: () => Promise<void>;

    test.before(async () => {
      const place = await temporaryDirectory("vault-servers");
      release = place.release;
      cluster = await openCluster(await binary("vault"), place.path, life.signal);
    });
    test.after(async () => {
      life.abort();
      await cluster.nodes.stopAll();
      await release();
    });

    /** The real log-in and the real signing of a controller, with the files that `ctl init` wrote, until `work` has ended. */
    async function whileSigning(work: () => Promise<unknown>): Promise<Signing> {
      const own = join(cluster.directory, "fleet/controller");
      const text = (await readFile(join(own, "config.json"), "utf8")).replaceAll(
        "/etc/muster/controller",
        own,
      );
      await writeFile(join(own, "here.json"), text, { mode: 0o600 });
      const end = new AbortController();
      const status = { say: () => undefined, ready: () => undefined, stopping: () => undefined };
      const log = openLog({ name: "controller", level: "silent" });
      const config = await readConfig(join(own, "here.json"));
      const vault = await logIn(config, { log, status }, end.signal);
      const fleet = { name: config.fleet, account: config.account };
      const issuer = vaultIssuer(
        fleet,
        { pki: pki(vault), transit: transit(vault), ssh: sshCa(vault) },
        Date.now,
      );
      const csr = await makeCsr(makeKey("p256").private_pem, { common_name: "ixp1" });
      const key = createNkey("user").public;
      const seen = { count: 0, failures: [] as string[], slowest_ms: 0 };
      const sign = async (one: () => Promise<unknown>) => {
        while (!end.signal.aborted) {
          const began = performance.now();
          await one().then(
            () => seen.count++,
            (error: Error) => end.signal.aborted || seen.failures.push(error.message),
          );
          seen.slowest_ms = Math.max(seen.slowest_ms, performance.now() - began);
          await sleep(20);
        }
      };
      const signing = [
        sign(() => issuer.userJwt("agent", { name: "ixp1", key, expires_ms: Date.now() + 60_000 })),
        sign(() => issuer.serviceCertificate("ixp1", csr)),
      ];
      try {
        await work();
        // What came of it is seen by one more round at least.
        const before = seen.count;
        const deadline = Date.now() + 15_000;
        while (seen.count < before + 4 && Date.now() < deadline) await sleep(20);
      } finally {
        // One that is under way is let end, so that no failure is missed.
        await sleep(50);
        end.abort();
        await Promise.all(signing);
      }
      return { ...seen, slowest_ms: Math.round(seen.slowest_ms) };
    }

    /** A host that was given a join string now: past a server that is dead, and through each that runs, leader or not. */
    async function hostLogsIn(): Promise<void> {
      const joined = await cluster.ctl(["join", "ixp1"]);
      assert.is(joined.code, 0, joined.err);
      const text = joined.out.trim();
      const { vault_token } = splitJoinString(text);
      assert.ok(vault_token !== null, joined.err);
      const { id: instance, fleet } = readJoinString(text);
      const ca_pem = await readFile(join(cluster.directory, "vault-servers/ca.crt"), "utf8");
      const server = { ca_pem, fleet, host: "ixp1", service_key_pem: null, ssh_public_key: null };
      const running = [...cluster.running];
      const dead = ["a", "b", "c"].filter((name) => !cluster.running.has(name));
      assert.is(dead.length, 1);
      const addresses = [...dead, ...running].map(cluster.nodes.address);
      const { identity: first } = await exchange(
        { ...server, addresses, by: { token: vault_token, instance }, identity: true },
        life.signal,
      );
      assert.ok(first, "by the token of its join string");
      for (const name of running) {
        const got = await exchange(
          {
            ...{ ...server, addresses: [cluster.nodes.address(name)], by: first, identity: true },
            service_key_pem: makeKey("p256").private_pem,
            ssh_public_key: makeSshKey("ixp1").public_key,
          },
          life.signal,
        );
        assert.ok(got.identity && got.service_certificate && got.ssh_certificate, `by ${name} alone`);
      }
    }

    test("are made from their files, and become the fleet's", async () => {
      const steps = page.block("Three servers");
      await cluster.follow(steps.slice(0, -1));
      // A vote in a second instead of ten.
      const quick = "vault operator raft autopilot set-config -server-stabilization-time=1s";
      await cluster.follow([{ who: "owner", line: quick, note: "" }, ...steps.slice(-1)]);
      await cluster.follow(page.block("Say what the fleet may do there", 0));
      const [before = ""] = await cluster.follow(page.block("Say what the fleet may do there", 1));
      assert.match(before, /^pending {2}transit {2}is missing$/m);
      assert.not.match(before, /^red/m);
      await cluster.follow(page.block("Say what the fleet may do there", 2));
    });

    test("a killed leader is missed for seconds, by controllers and ctl, and by nobody else; a host asks the others", async () => {
      const leader = await cluster.leader();
      let login_ms = 0;
      const signing = await whileSigning(async () => {
        await cluster.nodes.stop(leader, "SIGKILL");
        cluster.running.delete(leader);
        const began = performance.now();
        const ran = await cluster.ctl([
          "login",
          "alice",
          "--password-file",
          join(cluster.directory, "password"),
        ]);
        login_ms = Math.round(performance.now() - began);
        assert.is(ran.code, 0, ran.err);
      });
      assert.equal(signing.failures, []);
      const limit_ms = 8_000 * slowness();
      assert.ok(signing.slowest_ms < limit_ms, `${signing.slowest_ms} ms`);
      assert.ok(login_ms < limit_ms, `${login_ms} ms`);
      console.log(
        `\n#measured leader of three Vault servers killed: longest signature ${signing.slowest_ms} ms, none failed of ${signing.count}; ctl login ${login_ms} ms`,
      );
      const out = await checked(1, /^amber +raft +can lose no server$/m);
      assert.match(out, new RegExp(`^red +${cluster.nodes.address(leader)} +.*connection refused`, "m"));
      await hostLogsIn();
      const as = { c: leader, [leader]: "c" };
      await cluster.follow(page.block("One server fails", 0), as);
      await checked(0, /CVE-2026-5807/);
    });

    test("are saved, and upgraded one by one without a failed signature", async () => {
      const leader = await cluster.leader();
      const as = { a: leader, [leader]: "a" };
      const [, inspected = ""] = await cluster.follow(page.block("Every day"), as);
      assert.match(inspected, /^ *ID +bolt-snapshot/m);
      const steps = page.block("Upgrade");
      const stopped = steps.findIndex(({ who }) => who === "a") + 1;
      let next = leader;
      const signing = await whileSigning(async () => {
        await cluster.follow(steps.slice(0, stopped), as);
        next = await cluster.leader();
        await cluster.follow(steps.slice(stopped), as);
      });
      assert.equal(signing.failures, []);
      assert.is.not(next, leader);
      console.log(
        `\n#measured three Vault servers restarted one by one: longest signature ${signing.slowest_ms} ms, none failed of ${signing.count}`,
      );
    });

    test("one is replaced by another, and certificates are made anew", async () => {
      // The one that goes is not the leader: that was the test before.
      const leader = await cluster.leader();
      const as = leader === "c" ? { c: "b", b: "c" } : {};
      const gone = as.c ?? "c";
      await cluster.nodes.stop(gone, "SIGKILL");
      cluster.running.delete(gone);
      await cluster.follow(page.block("One server fails", 1), as);
      const [changed = ""] = await cluster.follow(page.block("Certificates"), as);
      assert.match(changed, /^changed {2}[abc]\/vault\.hcl/m);
      assert.not.match(changed, /tls\.key/);
    });

    test("are restored into empty ones, and the fleet goes on with its own keys", async () => {
      const before = await keys();
      for (const name of [...cluster.running]) await cluster.nodes.stop(name);
      cluster.running.clear();
      await Promise.all(["a", "b", "c"].map((name) => cluster.nodes.empty(name)));
      await cluster.follow(page.block("Restore"));
      assert.equal(await keys(), before);
      const signing = await whileSigning(() => sleep(200));
      assert.equal(signing.failures, []);
      const login = await cluster.ctl([
        "login",
        "alice",
        "--password-file",
        join(cluster.directory, "password"),
      ]);
      assert.is(login.code, 0, login.err);
      await checked(0, /CVE-2026-5807/);
    });

    test("nothing of the page was left out", () => {
      assert.equal(page.left(), []);
    });

    /** What `check` says once it ends so: raft tells how its servers are every ten seconds. */
    async function checked(code: number, pattern: RegExp): Promise<string> {
      const deadline = Date.now() + 60_000;
      for (;;) {
        const ran = await cluster.ctl(["vault", "check"]);
        if (ran.code === code && pattern.test(ran.out)) return ran.out;
        if (Date.now() > deadline) throw new Error(`exit ${ran.code}\n${ran.out}${ran.err}`);
        await sleep(500);
      }
    }

    async function keys(): Promise<string> {
      const [out = ""] = await cluster.follow([
        { who: "owner", line: "vault read -format=json -field=keys transit/keys/fleet-agent", note: "" },
      ]);
      return out;
    }
  },
  { limit_ms: 90_000 },
);

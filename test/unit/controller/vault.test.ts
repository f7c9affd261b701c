/** The controller as it is run: its own process, a real Vault set up by `ctl init`'s own code, AppRole, and what Vault signs. */
import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { fileURLToPath } from "node:url";
import type { Bus } from "@muster/ports/bus";
import { type Caller, callController } from "@muster/ports/call";
import { pki } from "@muster/ports/pki";
import { encodePublic, type JoinReply, readJwt, verifierOf, writeJoinString } from "@muster/protocol";
import * as assert from "uvu/assert";
import { programLogin } from "../../../packages/ctl/src/fleet/program-login.ts";
import { setUpVault } from "../../../packages/ctl/src/fleet/vault-setup.ts";
import { type Child, freePort, startChild } from "../../kit/child.ts";
import { controllerConfig } from "../../kit/controller.ts";
import { eventually } from "../../kit/eventually.ts";
import { assertWithin } from "../../kit/figures.ts";
import { startFleet, type TestFleet } from "../../kit/fleet.ts";
import { enrol, makeMachine } from "../../kit/machine.ts";
import type { Person } from "../../kit/people.ts";
import { makeHost, order, randomHex, signRollout } from "../../kit/rollout.ts";
import { suite } from "../../kit/suite.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";

const MAIN = fileURLToPath(new URL("../../../packages/controller/src/main.ts", import.meta.url));
const TSX = createRequire(import.meta.url).resolve("tsx");

suite(
  "a controller with Vault",
  (test) => {
    const life = new AbortController();
    let vault: VaultServer;
    let fleet: TestFleet;
    let config_file: string;
    let page_port: number;
    let alice: Person;
    let stranger: Bus;
    let ops: Caller;
    const children: Child[] = [];

    const start = (): Child => {
      const child = startChild(process.execPath, ["--import", TSX, MAIN, "--config", config_file], {
        PATH: process.env.PATH ?? "",
      });
      children.push(child);
      return child;
    };
    const ready = (child: Child) => child.until(async () => /"lab: \d+ hosts?, at /.test(child.output()));
    const joining = (name: string) =>
      writeJoinString(
        {
          v: 1,
          fleet: fleet.name,
          anchor: fleet.anchor,
          brokers: [fleet.server.address],
          id: randomHex(),
          name,
          groups: [],
          networks: [],
          not_after: Date.now() + 600_000,
        },
        alice,
        Date.now(),
      );
    const said = (reply: JoinReply) => (reply.status === "refused" ? reply.error.code : reply.status);

    test.before(async () => {
      vault = await startVault(life.signal);
      const changes = { made: [], warnings: [] };
      const audit_file = join(vault.directory, "audit.log");
      const made = await setUpVault(
        vault.root,
        "lab",
        { networks: [], page_names: ["core1.as64500.example"], audit_file },
        changes,
      );
      const { role_id, secret_id } = await programLogin(vault.root, "controller", null, changes);
      const key = (role: "agent" | "controller" | "operator" | "viewer") =>
        encodePublic("account", made.keys[`fleet-${role}`]);
      fleet = await startFleet({
        more_roles: {
          agent: key("agent"),
          controller: key("controller"),
          operator: key("operator"),
          viewer: key("viewer"),
        },
      });
      const file = (name: string) => join(fleet.server.directory, name);
      await writeFile(file("vault-ca.pem"), vault.ca_pem);
      await writeFile(file("role_id"), role_id, { mode: 0o600 });
      await writeFile(file("secret_id"), secret_id, { mode: 0o600 });
      config_file = file("controller.json");
      page_port = await freePort();
      const config = {
        ...(await controllerConfig(fleet)),
        vault: {
          addresses: [vault.address],
          ca: file("vault-ca.pem"),
          role_id: file("role_id"),
          secret_id: file("secret_id"),
        },
        dashboard: {
          listen: `127.0.0.1:${page_port}`,
          addresses: [`https://core1.as64500.example:${page_port}`, `https://198.51.100.1:${page_port}`],
          brokers: ["wss://core1.as64500.example:4223"],
          files: fleet.server.directory,
        },
      };
      await writeFile(config_file, JSON.stringify(config));
      alice = await fleet.person("alice");
      stranger = await fleet.anonymous(life.signal);
      ops = {
        bus: (await fleet.connect("operator", "alice", life.signal)).bus,
        signer: alice,
        now: Date.now,
      };
    });
    test.after(async () => {
      for (const child of children) await child.stop("SIGKILL");
      life.abort();
      await fleet.stop();
      await vault.stop();
    });

    test("waits for a sealed Vault, and says so", async () => {
      await vault.seal();
      const child = start();
      await child.until(async () => child.output().includes("waiting for Vault: Vault is sealed"));
      await vault.unseal();
      await ready(child);
    });

    test("the page's certificate is for the names that people type, by the fleet's CA of services", async () => {
      const ca = await pki(vault.root).caCertificate("services");
      const seen = (servername: string) =>
        new Promise<string>((resolve, reject) => {
          const socket = connect({ port: page_port, host: "127.0.0.1", servername, ca }, () => {
            resolve(socket.getPeerCertificate().subjectaltname ?? "");
            socket.end();
          });
          socket.once("error", reject);
        });
      let names = "";
      await eventually(async () => {
        names = await seen("core1.as64500.example");
      }, 20_000);
      assert.is(names, "DNS:core1.as64500.example");
      const other = await seen("core2.as64500.example").catch((error) => error.code);
      assert.is(other, "ERR_TLS_CERT_ALTNAME_INVALID");
    });

    test("what a host gets is signed by Vault and holds its name only", async ({ signal }) => {
      const machine = await makeMachine("core1");
      const reply = await enrol(stranger, machine, joining("core1"));
      assert.is(said(reply), "admitted");
      if (reply.status !== "admitted") return;
      const { user_jwt, service_certificate, ssh_certificate } = reply.credentials;
      assert.is(readJwt(user_jwt).name, "core1");
      const leaf = new X509Certificate(service_certificate);
      assert.is(leaf.subjectAltName, "DNS:core1, DNS:core1.lab");
      const file = join(fleet.server.directory, "host-cert.pub");
      await writeFile(file, ssh_certificate);
      const shown = execFileSync("ssh-keygen", ["-L", "-f", file]).toString();
      assert.match(shown, /host certificate/);
      assert.match(shown, /Principals: *\n *core1\n *core1\.lab\n/);
      // The broker takes what Transit signed.
      const { connectBus } = await import("@muster/ports/bus");
      const { signEd25519 } = await import("@muster/protocol");
      const bus = await connectBus(
        {
          servers: [fleet.server.address],
          ca_pem: fleet.broker_ca.certificate_pem,
          name: "core1",
          inbox_prefix: `_INBOX_${machine.nkey.public}`,
          credentials: () => ({ jwt: user_jwt, sign: (nonce) => signEd25519(machine.nkey.key, nonce) }),
          first_connect: "once",
        },
        signal,
      );
      const body = { v: 1, what: ["ssh_certificate", "service_certificate"], csr: machine.csr };
      const renewed = await bus.request(
        `host.${machine.nkey.public}.renew`,
        Buffer.from(JSON.stringify(body)),
        {
          timeout_ms: 20_000,
        },
      );
      assert.equal(Object.keys(JSON.parse(Buffer.from(renewed.body).toString()).ok), [
        "service_certificate",
        "ssh_certificate",
      ]);
    });

    test("with Vault sealed nothing is signed and all else goes on", async () => {
      await vault.seal();
      const machine = await makeMachine("probe1");
      const string = joining("probe1");
      const reply = await enrol(stranger, machine, string);
      assert.is(said(reply), "VAULT_SEALED");
      const { hosts } = await callController(ops, "hosts", { after: null, limit: 10 });
      assert.equal(
        hosts.map((view) => view.record.name),
        ["core1"],
      );
      await vault.unseal();
      assert.is(said(await enrol(stranger, machine, string)), "admitted");
    });

    test("many machines at once, with everything signed by Vault", async () => {
      const machines = await Promise.all(
        Array.from({ length: 25 }, (_, index) => makeMachine(`many${index}`)),
      );
      const strings = machines.map((machine) => joining(machine.name));
      const began = performance.now();
      const replies = await Promise.all(
        machines.map((machine, index) => enrol(stranger, machine, strings[index])),
      );
      const took_ms = performance.now() - began;
      assert.equal(new Set(replies.map(said)), new Set(["admitted"]));
      console.log(
        `  ${Math.round((machines.length * 1_000) / took_ms)} enrolments/s through Vault, machines and all on this computer`,
      );
    });

    test("its own key is in memory alone: no file is open for writing, and nothing came to lie beside its configuration", async () => {
      const pid = children[0]?.pid ?? 0;
      const open = (await readdir(`/proc/${pid}/fd`)).map(async (fd) => {
        const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
        const flags = /flags:\s*0*(\d+)/.exec(
          await readFile(`/proc/${pid}/fdinfo/${fd}`, "utf8").catch(() => ""),
        );
        const written = (Number.parseInt(flags?.[1] ?? "0", 8) & 3) !== 0;
        return written && (await stat(path).catch(() => null))?.isFile() === true ? [path] : [];
      });
      assert.equal((await Promise.all(open)).flat(), []);
      // Whatever it could have written since it started; the broker's store is beside it.
      const { directory } = fleet.server;
      const since_ms = (await stat(config_file)).mtimeMs;
      const found: string[] = [];
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || (await stat(path)).mtimeMs <= since_ms) continue;
        if (/PRIVATE KEY|^S[UAO][A-Z2-7]{56}$/m.test(await readFile(path, "latin1"))) found.push(path);
      }
      assert.equal(found, []);
    });

    test("kill -9 of the leader in mid-rollout: another goes on within 5 s, and nothing goes out twice", async ({
      signal,
    }) => {
      const second = start();
      await ready(second);
      const { bus: raw } = await fleet.connect("controller", "raw", signal);
      const verifier = verifierOf(fleet.bundle);
      const one = await makeHost(fleet, "ixp1", raw, verifier, signal);
      const two = await makeHost(fleet, "ixp2", raw, verifier, signal);
      one.answer = null;
      const ids = { ixp1: one.id, ixp2: two.id };
      const signed = signRollout(fleet, alice, ids, { generation: 1, waves: [["ixp1"], ["ixp2"]] });
      await order(ops, signed);
      while (one.got.length === 0) await sleep(10);
      children[0]?.signal("SIGKILL");
      const began = performance.now();
      const { content_hash } = JSON.parse(
        Buffer.from(signed.manifests[0]?.manifest.body ?? "", "base64").toString(),
      );
      // As agents do: whoever has not heard of the host yet when it says it first, hears it again.
      const converged = () =>
        one.say({ state: "converged", generation: 1, content_hash, release: signed.id });
      converged();
      const saying = setInterval(converged, 500).unref();
      while (two.got.length === 0) {
        assert.ok(performance.now() - began < 60_000, `nobody took over\n${second.output()}`);
        await sleep(10);
      }
      clearInterval(saying);
      const took_ms = performance.now() - began;
      console.log(`  taken over after ${Math.round(took_ms)} ms`);
      assertWithin(took_ms, 5_000, "taking over");
      for (;;) {
        const { rollout } = await callController(ops, "rollout", { rollout: signed.id });
        if (rollout?.state === "done") break;
        await sleep(20);
      }
      assert.equal([one.got, two.got], [[1], [1]]);
    });

    test("SIGTERM ends it cleanly, and its log holds no secret", async () => {
      const child = children[1];
      assert.ok(child);
      child.signal("SIGTERM");
      const began = performance.now();
      await child.until(async () => child.output().includes('"ending"'));
      await child.stop();
      assertWithin(performance.now() - began, 3_000);
      for (const one of children) assert.not.match(one.output(), /hvs\.|PRIVATE KEY|eyJ[A-Za-z0-9_-]{20}/);
    });
  },
  { limit_ms: 40_000 },
);

// limit: 120 s
/** `ctl host rename` on a real Vault, broker, controller and agent: another name on every plane, in the folder too, and again after a break in the middle. */
import { X509Certificate } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exchange } from "@muster/agent/vault-exchange";
import type { HostLogin } from "@muster/protocol/host-vault";
import * as assert from "uvu/assert";
import { readSshCertificate } from "../../../../packages/agent/src/sshkey.ts";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { outcome } from "../../../kit/outcome.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

const HOSTS = `# the fleet, by hand
ixp:
  hosts:
    # ordered in May
    ixp1: { site: ams }      # rack 4, not ixp10
    ixp10: {}
edge:
  hosts:
    "ixp1":
`;

/** What is declared for the host; the name stands in a comment alone. */
const RESOURCES = (content: string) => `# of ixp1\nfile:\n  /etc/netinfo: { content: "${content}\\n" }\n`;

type Step = { step: string; what: string; changed: boolean; error: { code: string } | null };
type View = { record: { name: string; id: string; state: string } };

suite(
  "ctl host rename",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let agent: TestAgent;
    let folder: string;
    let id: string;
    const admin = (...words: string[]) => ctl(words, { home: made.home, cwd: folder });
    const file = (name: string) => readFile(join(folder, name), "utf8");
    /** Not in the folder, where only declared hosts are let in. */
    const joinString = async (name: string): Promise<string> => {
      const ran = await ctl(["join", name, "--group", "ixp"], { home: made.home });
      assert.is(ran.code, 0, ran.err);
      return ran.out;
    };
    const known = async (): Promise<View[]> =>
      JSON.parse((await ctl(["hosts", "--json"], { home: made.home })).out);
    const rename = async (from: string, to: string, code = 0): Promise<Map<string, Step>> => {
      const ran = await admin("host", "rename", from, to, "-y", "--json");
      assert.is(ran.code, code, ran.err + ran.out);
      const { steps } = JSON.parse(ran.out) as { steps: Step[] };
      for (const { step, what, error } of steps) console.log(`    ${step}: ${what} ${error?.code ?? ""}`);
      return new Map(steps.map((step) => [step.step, step]));
    };
    const heardAs = (name: string) =>
      eventually(async () => {
        const { hosts } = JSON.parse((await ctl(["status", "--json"], { home: made.home })).out) as {
          hosts: { host: string; state: string }[];
        };
        assert.equal(
          hosts.map(({ host, state }) => [host, state]),
          [[name, "converged"]],
        );
        assert.is((await known())[0]?.record.id, id);
      }, 20_000);
    const state = async (name: string) => (await agent.read(`var/lib/muster-agent/${name}`)) ?? "";

    test.before(async () => {
      made = await emptyGround(life.signal);
      folder = join(made.directory, "folder");
      await mkdir(join(folder, "host_vars"), { recursive: true });
      await mkdir(join(folder, "resources"));
      await writeFile(join(folder, "muster.yml"), "fleet: lab\nlabels: [site]\n");
      await writeFile(join(folder, "hosts.yml"), HOSTS);
      await writeFile(join(folder, "host_vars/ixp1.yml"), "router_id: 192.0.2.1\n");
      await writeFile(join(folder, "resources/ixp1.yml"), RESOURCES("one"));
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(life.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      agent = await makeAgent("ixp1");
      await agent.write("etc/muster/join", await joinString("ixp1"));
      agent.start();
      await eventually(async () => assert.is((await known()).length, 1), 20_000);
      id = (await known())[0]?.record.id ?? "";
      await writeFile(join(folder, "hosts.lock"), `ixp1 ${id}\n`);
      await eventually(async () => assert.ok(JSON.parse(await state("credentials.json")).identity), 20_000);
      // A record stands there before its agent listens.
      await eventually(
        async () => assert.is((await ctl(["rpc", "ping"], { home: made.home })).code, 0),
        20_000,
      );
    });
    test.after(async () => {
      life.abort();
      await agent.remove();
      await made.stop();
    });

    test("it has a state that was applied under its first name", async () => {
      const ran = await admin("apply", "ixp1", "-y", "-m", "first");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.is(await agent.read("etc/netinfo"), "one\n");
    });

    test("what cannot be is refused before anything changes", async () => {
      for (const [words, code, says] of [
        [["ixp2", "ixp3"], 1, /no host is called ixp2/],
        [["ixp1", "IXP9"], 2, /new name/],
        [["ixp1", "ixp10"], 1, /hosts.yml has a host or a group ixp10 already/],
        [["ixp1", "edge"], 1, /hosts.yml has a host or a group edge already/],
      ] as const) {
        const ran = await admin("host", "rename", ...words, "-y");
        assert.equal([ran.code, says.test(ran.err)], [code, true], ran.err);
      }
      assert.is(await file("hosts.yml"), HOSTS);
    });

    test("a host has another name on every plane, and the same keys", async () => {
      const steps = await rename("ixp1", "ams1");
      assert.equal(
        [...steps.values()].map(({ step, changed, error }) => [step, changed, error]),
        ["vault", "records", "host", "folder"].map((step) => [step, true, null]),
      );
      await heardAs("ams1");
      const service = new X509Certificate(await state("certificates/service.crt"));
      assert.is(service.subjectAltName, "DNS:ams1, DNS:ams1.lab");
      const kept = JSON.parse(await state("credentials.json"));
      assert.equal(readSshCertificate(kept.credentials.ssh_certificate).principals, ["ams1", "ams1.lab"]);

      // Its own log-in, the one that it had, is for the new name alone.
      const asked = (host: string) =>
        exchange(
          {
            addresses: [made.vault.address],
            ca_pem: made.vault.ca_pem,
            fleet: "lab",
            ...{ host, by: kept.identity as HostLogin, identity: true },
            service_key_pem: null,
            ssh_public_key: readSshCertificate(kept.credentials.ssh_certificate).public_key,
          },
          life.signal,
        );
      assert.is(await outcome(asked("ixp1")), "VAULT_REFUSED");
      assert.match((await asked("ams1")).ssh_certificate ?? "", /^ssh-ed25519-cert/);
    });

    test("the folder says so, with its comments, and the rest is named", async () => {
      const wanted = HOSTS.replace("    ixp1:", "    ams1:").replace('"ixp1"', '"ams1"');
      assert.is(await file("hosts.yml"), wanted);
      assert.equal(
        [await readdir(join(folder, "host_vars")), await readdir(join(folder, "resources"))],
        [["ams1.yml"], ["ams1.yml"]],
      );
      assert.match(await file("hosts.lock"), new RegExp(`^ams1 ${id}$`, "m"));
      const again = await admin("host", "rename", "ixp1", "ams1", "-y");
      assert.is(again.code, 0, again.err);
      assert.match(again.out, /ixp1 still stands in 1 place: resources\/ams1.yml:1:6/);
      assert.is([...again.out.matchAll(/\(was so before\)/g)].length, 4, again.out);
      const audit = await admin("audit", "--json");
      assert.match(audit.out, /ixp1 to ams1/);
    });

    test("what was applied stands, and the next change goes out under the new name", async () => {
      const plan = await admin("plan", "ams1");
      assert.is(plan.code, 0, plan.out + plan.err);
      await writeFile(join(folder, "resources/ams1.yml"), RESOURCES("two"));
      const ran = await admin("apply", "ams1", "-y", "-m", "second");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.is(await agent.read("etc/netinfo"), "two\n");
    });

    test("nobody else gets the name that was, until it is freed; nor is the host revoked by it", async () => {
      const revoke = await admin("revoke", "ixp1", "-y");
      assert.equal([revoke.code, /ixp1 is called ams1 since/.test(revoke.err)], [1, true], revoke.err);
      const other = await makeAgent("ixp1");
      try {
        await other.write("etc/muster/join", await joinString("ixp1"));
        other.start();
        await eventually(() => assert.match(other.output(), /ctl host clear ixp1 frees it/), 20_000);
        const freed = await admin("host", "clear", "ixp1", "-y");
        assert.match(freed.out, /^ixp1 {2}is a free name$/m, freed.err);
        await other.write("etc/muster/join", await joinString("ixp1"));
        await eventually(async () => assert.is((await known()).length, 2), 20_000);
        assert.is((await admin("revoke", "ixp1", "-y")).code, 0);
      } finally {
        await other.remove();
      }
    });

    test("with Vault sealed the rest is done, and the same line ends it later", async () => {
      await made.vault.seal();
      const steps = await rename("ams1", "fra1", 4);
      assert.equal(
        [...steps.values()].map(({ step, error }) => [step, error?.code ?? null]),
        [
          ["vault", "VAULT_SEALED"],
          ["records", null],
          ["host", "VAULT_SEALED"],
          ["folder", null],
        ],
      );
      await made.vault.unseal();
      const ended = await rename("ams1", "fra1");
      assert.equal(
        [...ended.values()].map(({ step, changed }) => [step, changed]),
        [
          ["vault", true],
          ["records", false],
          ["host", true],
          ["folder", false],
        ],
      );
      await heardAs("fra1");
    });
  },
  { limit_ms: 100_000 },
);

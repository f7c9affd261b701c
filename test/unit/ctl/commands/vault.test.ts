/** `ctl vault` on a real, empty Vault under tokens that may do no more than the printed policies say: from nothing to made, and every kind of difference. */
import { writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { z } from "zod";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl, type Ran } from "../terminal.ts";

const Token = z.object({ auth: z.object({ client_token: z.string() }) });
type Finding = { level: string; where: string; what: string; why: string; next: string };

suite(
  "ctl vault",
  (test) => {
    const life = new AbortController();
    let made: Made;
    const tokens = new Map<string, string>();

    test.before(async () => {
      made = await emptyGround(life.signal);
      for (const name of ["bootstrap", "check", "init"]) {
        const printed = await run("policies", name);
        assert.is(printed.code, 0, printed.err);
        const { root } = made.vault;
        await root.write(`sys/policies/acl/owner-${name}`, { policy: printed.out });
        const order = { policies: [`owner-${name}`], no_default_policy: true, ttl: "1h" };
        const { auth } = await root.write("auth/token/create", order, Token);
        const path = join(made.directory, `token-${name}`);
        await writeFile(path, auth.client_token, { mode: 0o600 });
        tokens.set(name, path);
      }
    });
    test.after(async () => {
      life.abort();
      await made.stop();
    });

    const run = (...args: string[]): Promise<Ran> => ctl(["vault", ...args], { home: made.home });
    const withToken = (token: string) => [
      ...["--vault", made.vault.address, "--vault-ca", join(made.directory, "vault-ca.pem")],
      ...["--vault-token-file", tokens.get(token) ?? ""],
    ];
    const bootstrap = (...extra: string[]) =>
      run(
        "bootstrap",
        "lab",
        ...withToken("bootstrap"),
        "--audit-file",
        join(made.directory, "audit.log"),
        ...extra,
      );
    const check = (...extra: string[]) => run("check", "lab", ...withToken("check"), ...extra);
    /** All but what is known of the version that is tested with. */
    const beside = (found: readonly Finding[]) => found.filter(({ where }) => !/^Vault \d/.test(where));
    async function findings(): Promise<{ code: number; found: Finding[]; writes: { path: string }[] }> {
      const ran = await check("--json");
      const { findings: found, would_write: writes } = JSON.parse(ran.out);
      return { code: ran.code, found, writes };
    }

    test("says of an empty Vault all that is missing, and what it would write", async () => {
      const { code, found, writes } = await findings();
      assert.is(code, 3);
      const pending = found.filter(({ level }) => level === "pending");
      assert.is(pending.length, writes.length);
      for (const name of ["transit", "auth/approle", "audit log", "operators CA", "services/roles/host"])
        assert.ok(
          pending.some(({ where, what }) => where === name && what === "is missing"),
          name,
        );
      assert.ok(writes.some(({ path }) => path === "sys/policies/acl/muster-admin"));
      assert.ok(found.every(({ why, next }) => why !== "" && next !== ""));
      const wide = await check("-o", "wide");
      assert.match(
        wide.out,
        /^run {6}vault write operators\/roles\/admin - <<< '\{.*"ou":\["admin"\].*\}'$/m,
      );
    });

    test("is made with the printed policy and nothing more, and a second time changes nothing", async () => {
      const first = await bootstrap();
      assert.is(first.code, 0, first.err);
      assert.match(first.out, /^made {5}sys\/policies\/acl\/muster-controller$/m);
      const second = await bootstrap("--json");
      assert.is(second.code, 0, second.err);
      assert.equal(JSON.parse(second.out).changed, []);
      const { code, found } = await findings();
      assert.is(code, 0);
      // What is left is told by the version and by how open the log-in is, and stays until a person changes it.
      assert.equal(
        beside(found).map(({ level, where }) => `${level} ${where}`),
        ["amber auth/approle/role/muster-controller"],
      );
    });

    test("names each field that differs, and puts it right", async () => {
      const { root } = made.vault;
      await root.write("sys/mounts/services/tune", { max_lease_ttl: "24h" });
      await root.write("sys/policies/acl/muster-viewer", {
        policy: 'path "sys/*" { capabilities = ["read"] }',
      });
      const role = await root.read("services/roles/host", z.record(z.string(), z.unknown()));
      await root.write("services/roles/host", { ...role, allow_ip_sans: true, key_bits: 384 });
      await root.remove("operators/roles/ci");
      const { code, found } = await findings();
      assert.is(code, 3);
      const told = Object.fromEntries(
        found.filter(({ level }) => level === "pending").map((one) => [one.where, one.what]),
      );
      assert.equal(Object.keys(told).sort(), [
        "operators/roles/ci",
        "services",
        "services/roles/host",
        "sys/policies/acl/muster-viewer",
      ]);
      assert.is(
        told["services/roles/host"],
        "allow_ip_sans is true, should be false; key_bits is 384, should be 256",
      );
      assert.match(told.services ?? "", /max_lease_ttl is 86400, should be 630720000/);
      assert.match(told["sys/policies/acl/muster-viewer"] ?? "", /policy is ".*should be/);
      const text = await check();
      assert.match(
        text.out,
        /^pending {2}operators\/roles\/ci {2}is missing\n.*\n {9}next {2}ctl vault bootstrap lab/m,
      );
      const mended = await bootstrap("--json");
      assert.equal(JSON.parse(mended.out).changed.sort(), Object.keys(told).sort());
      assert.is((await findings()).code, 0);
    });

    test("holds the controller's log-in to a network, and does not widen it again", async () => {
      const bound = await bootstrap("--controller-cidr", "127.0.0.0/8", "--json");
      assert.equal(JSON.parse(bound.out).changed, ["auth/approle/role/muster-controller"]);
      const again = await bootstrap("--json");
      assert.equal(JSON.parse(again.out).changed, []);
      const { found } = await findings();
      assert.equal(beside(found), []);
      const other = await check("--controller-cidr", "10.0.0.0/8");
      assert.is(other.code, 3);
      assert.match(
        other.out,
        /secret_id_bound_cidrs is \["127\.0\.0\.0\/8"\], should be \["10\.0\.0\.0\/8"\]/,
      );
    });

    test("leaves what belongs to others", async () => {
      const other = await run("bootstrap", "other", ...withToken("bootstrap"));
      assert.is(other.code, 1);
      assert.match(other.err, /Vault has the CA "CN=lab operators"/);
      const seen = await run("check", "other", ...withToken("check"), "--json");
      assert.is(seen.code, 1);
      const red: Finding[] = JSON.parse(seen.out).findings.filter((one: Finding) => one.level === "red");
      assert.is(red.length, 4);
      assert.match(red[0]?.what ?? "", /the fleet needs one of its own there/);
    });

    test("init does with its printed policy, and an admin's own log-in checks", async () => {
      const made_here = await made.init(["--vault-token-file", tokens.get("init") ?? ""]);
      assert.is(made_here.code, 0, made_here.err);
      await made.startBroker();
      const again = await made.init(["--vault-token-file", tokens.get("init") ?? ""]);
      assert.is(again.code, 0, again.err);
      await writeFile(join(made.directory, "pass"), PASSWORD, { mode: 0o600 });
      const login = await ctl(["login", "alice", "--password-file", join(made.directory, "pass")], {
        home: made.home,
      });
      assert.is(login.code, 0, login.err);
      const ran = await run("check");
      assert.is(ran.code, 0, ran.err + ran.out);
      assert.match(ran.out, /CVE-2026-5807/);
      const denied = await run("check", "lab", ...withToken("none").slice(0, 4));
      assert.is(denied.code, 2);
      assert.match(denied.err, /--vault needs --vault-token-file too/);
      await made.vault.root.write("sys/policies/acl/owner-check", {
        policy: 'path "sys/mounts" { capabilities = ["read"] }',
      });
      const little = await check();
      assert.is(little.code, 1);
      assert.match(little.err, /Vault refused.*\nnext +ctl vault policies check/);
      const { out } = await run("policies", "check");
      await made.vault.root.write("sys/policies/acl/owner-check", { policy: out });
    });

    test("says which certificate ends when, before it does", async () => {
      const at = (days: number) => () => Date.now() + days * 86_400_000;
      const later = async (days: number) => {
        const ran = await ctl(["vault", "check", "lab", ...withToken("check"), "--json"], {
          home: made.home,
          now: at(days),
        });
        const ending: Finding[] = JSON.parse(ran.out).findings.filter((one: Finding) =>
          /certificate/.test(one.what),
        );
        return { code: ran.code, told: ending.map(({ level, where, what }) => `${level} ${where} ${what}`) };
      };
      const { address } = made.vault;
      assert.equal((await later(100)).told, []);
      assert.equal(await later(300), {
        code: 0,
        told: [
          `amber ${address} certificate ends in 64 d`,
          "amber CA of Vault's TLS certificate ends in 64 d",
        ],
      });
      const ended = await later(7_290);
      assert.is(ended.code, 1);
      assert.ok(ended.told.includes(`red ${address} certificate has ended`));
      assert.ok(
        ended.told.some((text) => /^red CA of operators certificate ends in 9 d/.test(text)),
        ended.told.join(),
      );
    });

    test("prints policies as this Vault has them, and with placeholders where nobody is logged in", async () => {
      const held = async (name: string) =>
        (await made.vault.root.read(`sys/policies/acl/${name}`, z.object({ policy: z.string() }))).policy;
      for (const name of ["muster-host", "muster-operator", "muster-controller"]) {
        const ran = await run("policies", name);
        assert.is(ran.out.trim(), (await held(name)).trim(), name + ran.err);
      }
      const owner = await run("policies", "host", "--fleet", "lab", ...withToken("check"));
      assert.is(owner.out.trim(), (await held("muster-host")).trim(), owner.err);
      const stranger = await ctl(["vault", "policies", "host"], { home: join(made.directory, "nobody") });
      assert.is(stranger.code, 0, stranger.err);
      assert.match(stranger.out, /aliases\.<accessor of auth\/cert>\.custom_metadata/);
      assert.match(stranger.err, /what stands in < > your Vault knows/);
    });

    test("says what is unknown to it", async () => {
      const ran = await run("policies", "nobody");
      assert.is(ran.code, 1);
      assert.match(ran.err, /muster-admin/);
      const all = await run("policies", "--json");
      assert.ok(Object.keys(JSON.parse(all.out)).includes("muster-init"));
      const none = await run("bootstrap", "lab");
      assert.is(none.code, 2);
      assert.match(none.err, /--vault is missing/);
    });

    test("says that the audit log cannot be written, when Vault does not say why it answers nothing", async () => {
      const sockets: Socket[] = [];
      const device = createServer((socket) => void sockets.push(socket));
      await new Promise<void>((resolve) => device.listen(0, "127.0.0.1", resolve));
      const address = device.address();
      const port = typeof address === "object" ? address?.port : 0;
      const { root } = made.vault;
      await root.write("sys/audit/socket", {
        type: "socket",
        options: { address: `127.0.0.1:${port}`, socket_type: "tcp", write_timeout: "1s" },
      });
      await root.remove("sys/audit/file");
      for (const socket of sockets) socket.destroy();
      device.close();
      const ran = await check();
      assert.is(ran.code, 1);
      assert.match(ran.err, /internal error: can it write its audit log\?\nnext +on the active server: df/);
    });

    test("says of a sealed Vault that it is, and that the rest was not seen", async () => {
      await made.vault.halt();
      await made.vault.start();
      const ran = await check("--json");
      assert.is(ran.code, 5, ran.err);
      const { findings: found, unseen } = JSON.parse(ran.out);
      assert.is(found[0].what, "is sealed");
      assert.match(found[0].next, /vault operator unseal -address=https:/);
      assert.match(unseen, /not looked at/);
    });
  },
  { limit_ms: 60_000 },
);

// limit: 120 s
/**
 * Attacks with ssh certificates, at a real sshd and with a real ssh, the papers signed by a real Vault that is set up as `ctl init` does it. A host's
 * certificate vouches for that host's name and opens no account, whoever signed it; nobody of the fleet gets a certificate that does.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { readSshCertificate } from "@muster/agent/sshkey";
import { exchange } from "@muster/agent/vault-exchange";
import { sshCa } from "@muster/ports/sshca";
import { openVault, type Vault } from "@muster/ports/vault";
import { HOST_VAULT, type HostLogin } from "@muster/protocol/host-vault";
import { writeKrl } from "@muster/protocol/krl";
import * as assert from "uvu/assert";
import { z } from "zod";
import { hostLogins } from "../../packages/ctl/src/join/host-logins.ts";
import { eventually } from "../kit/eventually.ts";
import { outcome } from "../kit/outcome.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";
import { startVaultFleet, type VaultFleet } from "../kit/vault-fleet.ts";
import {
  type Dial,
  dial,
  type SshPaper,
  type SshServer,
  sshKey,
  startSshAgent,
  startSshd,
} from "./ssh-server.ts";

const SignedKey = z.object({ signed_key: z.string() });
/** The one account that this test may log in to without being root. */
const USER = userInfo().username;
const MINUTES_S = 600;
/** Made by Vault's owner alone, to have what no one of the fleet has. */
const OWNERS_ROLE = "owner";
/** A CA of ssh that is not the fleet's. */
const FOREIGN = "ssh-foreign";
/** Holds what sshd and ssh said against the reason that is meant; all of it is shown where it is another. */
const says = (text: string, because: RegExp) => assert.ok(because.test(text), `not ${because}:\n${text}`);
/** The second word of a public key's line. */
const blobOf = (line: string) => line.split(" ")[1] ?? "";

suite(
  "ssh, attacked",
  (test) => {
    const life = new AbortController();
    let ground: VaultFleet;
    let directory: string;
    let controller: Vault;
    let core2: Vault;
    let papers: Record<"core1" | "core2" | "alice" | "revoked", SshPaper>;
    let ca: Record<"host" | "user", string>;
    let person: Dial;
    let server: SshServer;
    const servers: SshServer[] = [];
    let files = 0;

    /** A certificate, or the code of Vault's refusal. */
    const signed = async (vault: Vault, path: string, paper: SshPaper, wish: object): Promise<string> => {
      const body = { public_key: paper.public_key, ...wish };
      return (await vault.write(path, body, SignedKey)).signed_key.trim();
    };
    const byOwner = (paper: SshPaper, wish: object, mount = "ssh-user") =>
      signed(ground.vault.root, `${mount}/sign/${OWNERS_ROLE}`, paper, {
        cert_type: "user",
        valid_principals: USER,
        ttl: `${MINUTES_S}s`,
        ...wish,
      });
    const shows = async (host: SshPaper, certificate: string | null): Promise<SshServer> => {
      const trusts = {
        // That of hosts too: a mistake in an sshd's configuration must not open it either.
        user_cas: [ca.user, ca.host],
        krl: writeKrl({ keys: [blobOf(papers.revoked.public_key)], people: ["mallory"] }, 1, Date.now()),
      };
      const shown = await startSshd(directory, host, certificate, trusts);
      servers.push(shown);
      return shown;
    };
    /** Logs in to `server` by that paper. What sshd says of it is in `because`. */
    const logIn = async (paper: SshPaper, line: string | null) => {
      const certificate = line === null ? null : join(directory, `try-${++files}-cert.pub`);
      if (certificate !== null) await writeFile(certificate, `${line}\n`);
      const from = server.output().length;
      const { code, said } = await dial(server, { ...person, person: paper, certificate });
      return { in: code === 0, because: server.output().slice(from) + said };
    };
    /** The same by a client that offers whatever it holds: ssh itself leaves out what is no person's. */
    const logInUnasked = async (line: string) => {
      const agent = await startSshAgent(directory, papers.alice, line);
      const from = server.output().length;
      const { code, said } = await dial(server, { ...person, agent: agent.socket });
      await agent.stop();
      return { in: code === 0, because: server.output().slice(from) + said };
    };
    const ends = (line: string) =>
      eventually(() => assert.ok(Date.now() > readSshCertificate(line).not_after_ms, "not over yet"), 30_000);

    test.before(
      async () => {
        ground = await startVaultFleet(life.signal);
        directory = join(ground.vault.directory, "ssh");
        await mkdir(directory, { mode: 0o700 });
        const key = (name: string) => sshKey(directory, name);
        papers = {
          core1: await key("core1"),
          core2: await key("core2"),
          alice: await key("alice"),
          revoked: await key("revoked"),
        };
        const { root } = ground.vault;
        controller = await ground.asController();
        ca = {
          host: await sshCa(root).caPublicKey("ssh-host"),
          user: await sshCa(root).caPublicKey("ssh-user"),
        };
        const lax = {
          key_type: "ca",
          allow_user_certificates: true,
          allow_user_key_ids: true,
          allowed_users: "*",
          max_ttl: "1h",
        };
        const both = {
          ...lax,
          allow_host_certificates: true,
          allowed_domains: "*",
          allow_bare_domains: true,
        };
        await root.write(`sys/mounts/${FOREIGN}`, { type: "ssh" });
        await root.write(`${FOREIGN}/config/ca`, { generate_signing_key: true, key_type: "ed25519" });
        for (const mount of ["ssh-user", "ssh-host", FOREIGN])
          await root.write(`${mount}/roles/${OWNERS_ROLE}`, both);
        core2 = await asHost(ground, "core2", life.signal);
        // As a person has it who holds the fleet's bundle: the CA of hosts and no host key at all.
        const known_hosts = join(directory, "known_hosts");
        await writeFile(known_hosts, `@cert-authority * ${ground.fleet.bundle.ssh_host_ca[0]}\n`);
        person = {
          host: "core1",
          known_hosts,
          revoked: null,
          user: USER,
          person: papers.alice,
          certificate: null,
          agent: null,
        };
        const by_controller = await sshCa(controller).signHostKey(
          "ssh-host",
          "host",
          papers.core1.public_key,
          ["core1", "core1.lab"],
        );
        server = await shows(papers.core1, by_controller);
      },
      { limit_ms: 60_000 },
    );
    test.after(async () => {
      await Promise.all(servers.map((each) => each.stop()));
      life.abort();
      await ground.stop();
    });

    test("what is as it should be works, so that the refusals say something", async () => {
      const good = await logIn(papers.alice, await byOwner(papers.alice, {}));
      assert.ok(good.in, good.because);
      const from = { critical_options: { "source-address": "127.0.0.0/8" } };
      const near = await logIn(papers.alice, await byOwner(papers.alice, from));
      assert.ok(near.in, near.because);
    });

    test("a person's certificate that is over, for another, from elsewhere, of another CA or with a condition that sshd does not know", async () => {
      const over = await byOwner(papers.alice, { ttl: "1s" });
      await ends(over);
      const rows: [string, SshPaper, string | null, RegExp][] = [
        ["over", papers.alice, over, /Certificate invalid: expired/],
        [
          "another's",
          papers.alice,
          await byOwner(papers.alice, { valid_principals: "somebody" }),
          /Certificate invalid: name is not a listed principal/,
        ],
        [
          "for another network",
          papers.alice,
          await byOwner(papers.alice, { critical_options: { "source-address": "192.0.2.0/24" } }),
          /not from a permitted source address/,
        ],
        [
          "an unknown condition",
          papers.alice,
          await byOwner(papers.alice, { critical_options: { "only-by-day": "yes" } }),
          /critical option "only-by-day" is not supported/,
        ],
        ["a revoked key's", papers.revoked, await byOwner(papers.revoked, {}), /revoked by file/],
        [
          "of a revoked person, whose key nobody knows",
          papers.alice,
          await byOwner(papers.alice, { key_id: "mallory" }),
          /revoked by file/,
        ],
        ["of another CA", papers.alice, await byOwner(papers.alice, {}, FOREIGN), /Permission denied/],
        ["the bare key", papers.alice, null, /Permission denied/],
        ["with another's key", papers.core2, await byOwner(papers.alice, {}), /Permission denied/],
      ];
      for (const [what, paper, line, because] of rows) {
        const tried = await logIn(paper, line);
        assert.is(tried.in, false, `${what} was let in`);
        says(tried.because, because);
      }
    });

    test("a host's certificate opens no account, though sshd were told to believe its CA", async () => {
      const host = (vault: Vault, role: string, names: string[]) =>
        sshCa(vault).signHostKey("ssh-host", role, papers.alice.public_key, names);
      for (const line of [
        await host(controller, "host", [USER, "core1.lab"]),
        await host(core2, HOST_VAULT.own_role, ["core2"]),
      ]) {
        const tried = await logInUnasked(line);
        assert.is(tried.in, false, "a host's certificate was let in");
        says(tried.because, /Certificate invalid: not a user certificate/);
      }
      // With one that its owner made of that CA sshd does let in: it is the type that is refused.
      const typed = await logInUnasked(await byOwner(papers.alice, {}, "ssh-host"));
      assert.ok(typed.in, typed.because);
    });

    test("a host that shows another's certificate, one that is over, of another CA, of a person, or none, is not core1", async () => {
      const over = await signed(controller, "ssh-host/sign/host", papers.core1, {
        cert_type: "host",
        valid_principals: "core1,core1.lab",
        ttl: "1s",
      });
      await ends(over);
      const host = { cert_type: "host", valid_principals: "core1" };
      const core2s = await sshCa(core2).signHostKey(
        "ssh-host",
        HOST_VAULT.own_role,
        papers.core2.public_key,
        ["core2", "core2.lab"],
      );
      const rows: [string, SshPaper, string | null, RegExp][] = [
        ["another host", papers.core2, core2s, /Certificate invalid: name is not a listed principal/],
        ["over", papers.core1, over, /Certificate invalid: expired/],
        [
          "of another CA",
          papers.core1,
          await byOwner(papers.core1, host, FOREIGN),
          /No ED25519 host key is known/,
        ],
        [
          "of a person",
          papers.core1,
          await byOwner(papers.core1, { valid_principals: "core1" }, "ssh-host"),
          /not a host certificate/,
        ],
        ["the bare key", papers.core1, null, /No ED25519 host key is known/],
      ];
      const certificate = join(directory, "alice-cert.pub");
      await writeFile(certificate, `${await byOwner(papers.alice, {})}\n`);
      const visitor = { ...person, certificate };
      const meets = async ([what, paper, line, because]: (typeof rows)[number]) => {
        const shown = await shows(paper, line);
        const { code, said } = await dial(shown, visitor);
        await shown.stop();
        assert.is(code, 255, `${what} was believed`);
        says(said, because);
        says(said, /Host key verification failed/);
      };
      for (const row of rows) await meets(row);
      assert.is((await dial(server, visitor)).code, 0, "core1 itself");
      const revoked = join(directory, "revoked-hosts");
      await writeFile(
        revoked,
        writeKrl({ keys: [blobOf(papers.core1.public_key)], people: [] }, 1, Date.now()),
      );
      const tried = await dial(server, { ...visitor, revoked });
      assert.is(tried.code, 255, "a revoked host was believed");
      says(tried.said, /revoked/i);
    });

    test("nobody of the fleet gets a certificate of a person, and a host none for another's name", async () => {
      const ranks = ["viewer", "operator", "admin", "ci"] as const;
      const people = await Promise.all(ranks.map((rank) => ground.asPerson(`p-${rank}`, rank)));
      const all = [...people, controller, core2];
      const wish = { public_key: papers.alice.public_key, cert_type: "user", valid_principals: USER };
      const paths = [`ssh-user/sign/${OWNERS_ROLE}`, `ssh-user/issue/${OWNERS_ROLE}`, "ssh-user/roles/mine"];
      const asked = [
        ...paths,
        ...[OWNERS_ROLE, "host", HOST_VAULT.own_role].map((role) => `ssh-host/sign/${role}`),
      ];
      const tries = all.flatMap((vault, at) =>
        asked.map(async (path) => {
          const may = vault === core2 && path.endsWith(`/${HOST_VAULT.own_role}`);
          const code = await outcome(vault.write(path, wish, z.unknown()));
          const who = ranks[at] ?? (vault === core2 ? "host" : "controller");
          return code === (may ? "VAULT_REFUSED" : "VAULT_DENIED") ? [] : [`${who}: ${path} ${code}`];
        }),
      );
      const names = ["core1", "core1.lab", "*", "", "core2,core1", "core2.evil"].map(async (name) => {
        const host = { ...wish, cert_type: "host", valid_principals: name };
        const code = await outcome(core2.write(`ssh-host/sign/${HOST_VAULT.own_role}`, host, z.unknown()));
        return code === "VAULT_REFUSED" ? [] : [`core2 for ${JSON.stringify(name)}: ${code}`];
      });
      assert.equal((await Promise.all([...tries, ...names])).flat(), []);
    });
  },
  { limit_ms: 60_000 },
);

/** Vault as a host sees it that a person let in. */
async function asHost(ground: VaultFleet, host: string, signal: AbortSignal): Promise<Vault> {
  const logins = await hostLogins(await ground.asPerson("opal", "operator"));
  const instance = randomHex();
  const token = await logins.token(host, instance, MINUTES_S);
  const server = { addresses: [ground.vault.address], ca_pem: ground.vault.ca_pem };
  const order = { ...server, fleet: "lab", host, identity: false, service_key_pem: null };
  const { identity } = await exchange({ ...order, ssh_public_key: null, by: { token, instance } }, signal);
  if (identity === undefined) throw new Error(`${host} got no log-in`);
  const client = clientOf(identity);
  return openVault({ ...server, client }, signal).loginCert(HOST_VAULT.login_role);
}

const clientOf = ({ certificate, key_pem }: HostLogin) => ({ certificate_pem: certificate, key_pem });

/**
 * Attacks on the hosts' own log-in, at a real Vault: what an operator, a controller, a host and the holder of a join string can have signed and read,
 * and what must be refused. Promise P2: a controller can mint no log-in.
 */
import { X509Certificate } from "node:crypto";
import { exchange } from "@muster/agent/vault-exchange";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { openVault, type Vault } from "@muster/ports/vault";
import { openJoinString, readJoinString, splitJoinString, verifierOf } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { HOST_VAULT, type HostLogin } from "@muster/protocol/host-vault";
import * as assert from "uvu/assert";
import { z } from "zod";
import { cutOff, type HostLogins, hostLogins } from "../../packages/ctl/src/join/host-logins.ts";
import { joinString } from "../kit/agent.ts";
import { assertWithin, measured } from "../kit/figures.ts";
import { SSH_PUBLIC_KEY } from "../kit/fleet.ts";
import { outcome } from "../kit/outcome.ts";
import type { Person } from "../kit/people.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";
import { startVaultFleet, type VaultFleet } from "../kit/vault-fleet.ts";

const any = z.unknown();
const TTL_S = 600;

suite(
  "a host's log-in at Vault, attacked",
  (test) => {
    const life = new AbortController();
    let ground: VaultFleet;
    let operator: Vault;
    let logins: HostLogins;
    let alice: Person;

    const order = (host: string, by: Parameters<typeof exchange>[0]["by"]) => ({
      addresses: [ground.vault.address],
      ca_pem: ground.vault.ca_pem,
      fleet: "lab",
      host,
      by,
      identity: false,
      service_key_pem: null,
      ssh_public_key: null,
    });
    /** A host with a log-in, as `ctl join` and its agent bring it about. */
    const joined = async (host: string): Promise<HostLogin> => {
      const instance = randomHex();
      const token = await logins.token(host, instance, TTL_S);
      const { identity } = await exchange(order(host, { token, instance }), life.signal);
      if (identity === undefined) throw new Error(`${host} got no log-in`);
      return identity;
    };
    const asHost = ({ certificate, key_pem }: HostLogin): Promise<Vault> =>
      openVault(
        {
          addresses: [ground.vault.address],
          ca_pem: ground.vault.ca_pem,
          client: { certificate_pem: certificate, key_pem },
        },
        life.signal,
      ).loginCert(HOST_VAULT.login_role);
    const sign = async (vault: Vault, path: string, common_name: string, more: object = {}) =>
      vault.write(
        path,
        { csr: await makeCsr(makeKey("p256").private_pem, { common_name }), common_name, ...more },
        any,
      );

    test.before(async () => {
      ground = await startVaultFleet(life.signal);
      operator = await ground.asPerson("alice", "operator");
      logins = await hostLogins(operator);
      alice = await ground.fleet.person("alice");
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });

    test("a host signs its own names and reads its own paths, and no other's", async () => {
      const login = await joined("ixp1");
      await joined("core1");
      const tls = makeKey("p256");
      const got = await exchange(
        {
          ...order("ixp1", login),
          identity: true,
          service_key_pem: tls.private_pem,
          ssh_public_key: SSH_PUBLIC_KEY,
        },
        life.signal,
      );
      const service = new X509Certificate(got.service_certificate ?? "");
      assert.is(service.subjectAltName, "DNS:ixp1, DNS:ixp1.lab");
      assert.is(service.publicKey.export({ type: "spki", format: "pem" }), tls.public_pem);
      assert.match(got.ssh_certificate ?? "", /^ssh-ed25519-cert-v01@openssh.com /);
      assert.is(got.identity?.instance, login.instance);
      assert.is.not(got.identity?.key_pem, login.key_pem, "each identity certificate has a key of its own");
      assert.is(
        await outcome(exchange({ ...order("core1", login), service_key_pem: tls.private_pem }, life.signal)),
        "VAULT_REFUSED",
      );
      assert.is(
        await outcome(exchange({ ...order("core1", login), ssh_public_key: SSH_PUBLIC_KEY }, life.signal)),
        "VAULT_REFUSED",
      );

      const host = await asHost(login);
      await ground.vault.root.write("kv/data/hosts/ixp1/bgp", { data: { upstream: "canary" } });
      await ground.vault.root.write("kv/data/hosts/core1/bgp", { data: { upstream: "canary" } });
      assert.is(await outcome(host.read("kv/data/hosts/ixp1/bgp", any)), "done");
      assert.is(await outcome(host.read("kv/data/hosts/core1/bgp", any)), "VAULT_DENIED");
      for (const alt_names of ["core1", "ixp1,core1", "*.lab", "ixp1.lab.evil"])
        assert.is(
          await outcome(sign(host, "services/sign/own", "ixp1", { alt_names })),
          "VAULT_REFUSED",
          alt_names,
        );
      for (const more of [
        { ip_sans: "192.0.2.1" },
        { uri_sans: "spiffe://lab/core1" },
        { other_sans: "1.2.3.4;UTF8:core1" },
      ])
        assert.is(
          await outcome(sign(host, "services/sign/own", "ixp1", more)),
          "VAULT_REFUSED",
          JSON.stringify(more),
        );
    });

    test("the names in a request for a certificate count for nothing", async () => {
      const host = await asHost(await joined("probe1"));
      const csr = await makeCsr(makeKey("p256").private_pem, {
        common_name: "core1",
        dns_names: ["core1.lab"],
        ip_addresses: ["192.0.2.1"],
      });
      const Signed = z.object({ certificate: z.string() });
      const { certificate } = await host.write("services/sign/own", { csr, common_name: "probe1" }, Signed);
      const read = new X509Certificate(certificate);
      assert.is(read.subjectAltName, "DNS:probe1");
      assert.is(read.subject, "CN=probe1");
    });

    test("a token works once, for its instance, and where ctl join wrapped it", async () => {
      const instance = randomHex();
      const token = await logins.token("edge1", instance, TTL_S);
      const Inside = z.object({ auth: z.object({ client_token: z.string() }) });
      const open = openVault({ addresses: [ground.vault.address], ca_pem: ground.vault.ca_pem }, life.signal);
      const { auth } = await open.withToken(token).write("sys/wrapping/unwrap", {}, Inside);
      const inside = open.withToken(auth.client_token);
      assert.is(
        await outcome(sign(inside, "identity-ca/sign/join", randomHex())),
        "VAULT_REFUSED",
        "another's",
      );
      assert.is(
        await outcome(sign(inside, "identity-ca/sign/join", instance)),
        "VAULT_DENIED",
        "the try was its use",
      );
      assert.is(
        await outcome(exchange(order("edge1", { token, instance }), life.signal)),
        "JOIN_FORGED",
        "unwrapped before",
      );

      // Whoever reads the string on its way takes what is inside and wraps something in its place.
      const Wrapped = z.object({ wrap_info: z.object({ token: z.string() }) });
      const again = await ground.vault.root.write("sys/wrapping/wrap", { stolen: true }, Wrapped, {
        wrap_ttl_s: 60,
      });
      const by = { token: again.wrap_info.token, instance };
      try {
        await exchange(order("edge1", by), life.signal);
        assert.unreachable("a token that was wrapped again was taken");
      } catch (error) {
        assert.is(error instanceof FleetError && error.code, "JOIN_FORGED");
        assert.match(error instanceof FleetError ? error.detail : "", /sys\/wrapping\/wrap/);
      }
    });

    test("the token stays on the machine: what a controller is sent does not hold it", async () => {
      const token = await logins.token("edge2", randomHex(), TTL_S);
      const text = joinString(ground.fleet, alice, { name: "edge2" }, { vault_token: token });
      assert.is(splitJoinString(text).vault_token, token);
      const { join } = splitJoinString(text);
      assert.not.match(Buffer.from(join.split(".")[1] ?? "", "base64url").toString(), token);
      assert.is(readJoinString(text).name, "edge2");
      const verifier = verifierOf(ground.fleet.bundle);
      assert.is(openJoinString(join, verifier, Date.now()).by, "alice");
      assert.throws(
        () => openJoinString(text, verifier, Date.now()),
        (error: unknown) => error instanceof FleetError && error.code === "JOIN_FORGED",
      );
    });

    test("an operator lets hosts in, and gains nobody's rights by it", async () => {
      const Auth = z.record(z.string(), z.looseObject({ accessor: z.string() }));
      const auth = await ground.vault.root.read("sys/auth", Auth);
      const Entity = z.object({ id: z.string() });
      await ground.asPerson("root-of-all", "admin");
      const { id } = await ground.vault.root.read("identity/entity/name/root-of-all", Entity);
      const [cert, userpass] = [auth["cert/"]?.accessor, auth["userpass/"]?.accessor];
      const alias = (fields: object) =>
        outcome(operator.write("identity/entity-alias", { name: randomHex(), ...fields }));
      assert.is(await alias({ mount_accessor: cert, custom_metadata: { host: "x" } }), "done");
      assert.is(
        await alias({ mount_accessor: cert, canonical_id: id }),
        "VAULT_DENIED",
        "on an admin's entity",
      );
      assert.is(
        await alias({ mount_accessor: userpass, custom_metadata: { host: "x" } }),
        "VAULT_DENIED",
        "a person's",
      );
      const token = (fields: object, wrap_ttl_s?: number) =>
        outcome(
          operator.write(
            HOST_VAULT.join_token_path,
            fields,
            any,
            wrap_ttl_s === undefined ? {} : { wrap_ttl_s },
          ),
        );
      assert.is(await token({ entity_alias: randomHex() }), "VAULT_DENIED", "not wrapped");
      assert.is(await token({}, 60), "VAULT_DENIED", "for nobody");
      assert.is(
        await token({ entity_alias: randomHex(), policies: ["muster-admin"] }, 60),
        "VAULT_DENIED",
        "another policy",
      );
      assert.is(await token({ entity_alias: randomHex(), num_uses: 100 }, 60), "VAULT_DENIED", "many uses");
      assert.is(await outcome(sign(operator, "identity-ca/sign/join", randomHex())), "VAULT_DENIED");
      assert.is(await outcome(sign(operator, "identity-ca/sign/own", randomHex())), "VAULT_DENIED");
      assert.is(await outcome(operator.write("auth/token/create", {}, any)), "VAULT_DENIED");
    });

    test("with a controller's token every path is refused but what enrolment needs", async () => {
      const controller = await ground.asController();
      const root = ground.vault.root;
      const allowed = new Set([
        ...["services/sign/host", "ssh-host/sign/host"],
        ...["controllers/sign/controller", "services/sign/page"],
      ]);
      let refused = 0;
      for (const mount of [
        "operators",
        "controllers",
        "services",
        HOST_VAULT.identity,
        "ssh-host",
        "ssh-user",
      ]) {
        for (const role of await root.list([mount, "roles"])) {
          const path = `${mount}/sign/${role}`;
          const code = await outcome(controller.write(path, {}, any));
          // An allowed path that is asked for nothing answers what it misses.
          assert.is(code, allowed.has(path) ? "VAULT_REFUSED" : "VAULT_DENIED", path);
          if (mount === "ssh-host" || mount === "ssh-user") continue;
          for (const verb of ["issue", "sign-verbatim"])
            assert.is(
              await outcome(controller.write(`${mount}/${verb}/${role}`, {}, any)),
              "VAULT_DENIED",
              `${mount}/${verb}/${role}`,
            );
          refused++;
        }
      }
      assert.ok(refused >= 8, `${refused} roles were tried`);
      for (const key of ["operator-signing", "sys-admin", "fleet-setup"])
        assert.is(
          await outcome(controller.write(`transit/sign/${key}`, { input: "" }, any)),
          "VAULT_DENIED",
          key,
        );
      for (const path of [
        "kv/data/hosts/ixp1/bgp",
        "kv/data/muster/fleet",
        "sys/auth",
        "identity/entity-alias/id",
        "sys/policies/acl/muster-host",
        "auth/cert/certs/muster-host",
      ])
        assert.is(await outcome(controller.read(path, any)), "VAULT_DENIED", path);
      for (const path of [
        HOST_VAULT.join_token_path,
        "auth/token/create",
        "identity/entity-alias",
        "identity/entity",
        "auth/cert/certs/other",
        "auth/approle/role/muster-controller/secret-id",
        `${HOST_VAULT.identity}/root/sign-self-issued`,
        "sys/seal",
      ])
        assert.is(await outcome(controller.write(path, { name: "x" }, any)), "VAULT_DENIED", path);
      assert.is(await outcome(sign(controller, "services/sign/host", "ixp1", { ttl: "720h" })), "done");
      const Signed = z.object({ expiration: z.int() });
      const csr = await makeCsr(makeKey("p256").private_pem, { common_name: "ixp1" });
      const { expiration } = await controller.write(
        "services/sign/host",
        { csr, common_name: "ixp1", ttl: "720h" },
        Signed,
      );
      assert.ok(expiration * 1000 < Date.now() + 8 * 86_400_000, "what it may sign ends in a week");
    });

    test("a host that is cut off can log in no more, and what it held ends at once", async () => {
      const login = await joined("probe2");
      const before = await asHost(login);
      await ground.vault.root.write("kv/data/hosts/probe2/x", { data: { y: "z" } });
      assert.is(await outcome(before.read("kv/data/hosts/probe2/x", any)), "done");
      const admin = await ground.asPerson("carol", "admin");
      assert.is(await outcome(cutOff(operator, "probe2")), "VAULT_DENIED", "needs an admin");
      const began = performance.now();
      assert.is(await cutOff(admin, "probe2"), 1);
      assert.is(await outcome(before.read("kv/data/hosts/probe2/x", any)), "VAULT_DENIED");
      assert.is(await outcome(asHost(login)), "VAULT_DENIED");
      const took_ms = performance.now() - began;
      measured(
        "a host is cut off at Vault, its reads and log-in refused, after",
        `${Math.round(took_ms)} ms`,
      );
      assertWithin(took_ms, 1_000);
      // Whoever takes over the name has another instance.
      const next = await asHost(await joined("probe2"));
      assert.is(await outcome(next.read("kv/data/hosts/probe2/x", any)), "done");
      assert.is(await outcome(asHost(login)), "VAULT_DENIED", "the old machine stays out");
    });
  },
  { limit_ms: 30_000 },
);

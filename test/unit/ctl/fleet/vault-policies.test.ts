/**
 * Every role on every path that a real Vault has (its own list, `sys/internal/specs/openapi`), as Vault itself decides. What each may do stands in
 * test/golden/vault-permissions.txt; whatever is not there is refused. GOLDEN=1 writes the file anew, for a person to read before it is kept.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Vault } from "@muster/ports/vault";
import type { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { z } from "zod";
import { vaultPlan } from "../../../../packages/ctl/src/fleet/vault-plan.ts";
import { OWNER_POLICIES, POLICIES } from "../../../../packages/ctl/src/fleet/vault-policies.ts";
import { TRANSIT_KEYS } from "../../../../packages/ctl/src/fleet/vault-roles.ts";
import { setUpVault } from "../../../../packages/ctl/src/fleet/vault-setup.ts";
import { suite } from "../../../kit/suite.ts";
import { startVault, type VaultServer } from "../../../kit/vault.ts";

const GOLDEN = fileURLToPath(new URL("../../../golden/vault-permissions.txt", import.meta.url));
const BATCH = 400;

const Capabilities = z.record(z.string(), z.unknown());
const Token = z.object({ auth: z.object({ client_token: z.string() }) });
const Entity = z.object({ id: z.string() });

/** What a parameter of a path is tried with: things of the fleet, and of somebody else. */
const OTHER = "somebody-elses";
const FILLED: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^transit\//, [...TRANSIT_KEYS, OTHER]],
  [
    /^(operators|controllers|services|identity-ca|ssh-host|ssh-user)\//,
    ["viewer", "operator", "admin", "ci", "kit", "controller", "host", "join", "own", OTHER],
  ],
  [/^sys\/policies\/acl\//, [...Object.keys(POLICIES), "root", "default", OTHER]],
  [
    /^sys\/(mounts|auth|audit)\//,
    ["transit", "operators", "ssh-host", "kv", "userpass", "cert", "file", OTHER],
  ],
  [/^auth\/approle\//, ["muster-controller", "muster-backup", OTHER]],
  [/^auth\/(userpass|muster-oidc|muster-ci)\//, ["alice", OTHER]],
  [/^auth\/(cert|token)\//, ["muster-host", "muster-join", OTHER]],
  [/^identity\//, ["alice", OTHER]],
  [/^kv\//, ["muster/fleet", "hosts/ixp1/bird", "hosts/ixp2/bird", "hosts", "alerts/smtp", "alerts", OTHER]],
];

/** Every path of this Vault, with parameters filled in, in order. */
async function allPaths(root: Vault): Promise<string[]> {
  const { paths } = await root.read(
    "sys/internal/specs/openapi",
    z.object({ paths: z.record(z.string(), z.unknown()) }),
  );
  const filled = Object.keys(paths).flatMap((text) => {
    const path = text.replace(/^\//, "").replace(/\/$/, "");
    const values = FILLED.find(([pattern]) => pattern.test(path))?.[1] ?? [OTHER];
    if (!path.includes("{")) return [path];
    return values.map((value) =>
      path.replace(/\{[^}]*\}/g, (_, at: number) => (at === path.indexOf("{") ? value : OTHER)),
    );
  });
  // And every role of the fleet, with what it signs or makes.
  const roles = vaultPlan("lab", "").flatMap((piece) => (piece.kind === "record" ? [piece.path] : []));
  const used = roles.flatMap((path) => [
    path.replace("/roles/", "/sign/"),
    path.replace("/roles/", "/create/"),
  ]);
  return [...new Set([...filled, ...roles, ...used])].sort();
}

suite(
  "policies at Vault",
  (test) => {
    const life = new AbortController();
    let server: VaultServer;
    let paths: string[];
    const names = [...Object.keys(POLICIES), ...Object.keys(OWNER_POLICIES)].sort();

    test.before(async () => {
      server = await startVault(life.signal);
      const { root, directory } = server;
      const changes = { made: [], warnings: [] };
      await setUpVault(
        root,
        "lab",
        { networks: undefined, audit_file: join(directory, "audit.log") },
        changes,
      );
      for (const [name, policy] of Object.entries(OWNER_POLICIES))
        await root.write(`sys/policies/acl/${name}`, { policy });
      // A host is known by its log-in with a certificate; its token here belongs to the same entity.
      const Mounts = z.record(z.string(), z.looseObject({ accessor: z.string() }));
      const auth = await root.read("sys/auth", Mounts);
      const { id } = await root.write("identity/entity", { name: "instance-1" }, Entity);
      const alias = { name: "instance-1", canonical_id: id };
      await root.write("identity/entity-alias", {
        ...alias,
        mount_accessor: auth["cert/"]?.accessor,
        custom_metadata: { host: "ixp1" },
      });
      await root.write("identity/entity-alias", { ...alias, mount_accessor: auth["token/"]?.accessor });
      await root.write("auth/token/roles/test-any", {
        allowed_entity_aliases: ["*"],
        allowed_policies: names,
        token_no_default_policy: true,
      });
      paths = await allPaths(root);
    });
    test.after(async () => {
      life.abort();
      await server.stop();
    });

    async function tokenOf(policy: string): Promise<string> {
      const order = { policies: [policy], entity_alias: "instance-1" };
      return (await server.root.write("auth/token/create/test-any", order, Token)).auth.client_token;
    }

    /** `path  capability, capability` of what is not refused. */
    async function allowed(token: string): Promise<string[]> {
      const lines: string[] = [];
      for (let at = 0; at < paths.length; at += BATCH) {
        const batch = paths.slice(at, at + BATCH);
        const held = await server.root.write("sys/capabilities", { token, paths: batch }, Capabilities);
        for (const path of batch) {
          const can = held[path];
          if (!Array.isArray(can)) throw new Error(`no answer about ${path}`);
          if (can.join() !== "deny") lines.push(`  ${path}  ${can.sort().join(", ")}`);
        }
      }
      return lines;
    }

    test("each may do what is written down, and on every other path nothing", async () => {
      assert.ok(paths.length > 700, `only ${paths.length} paths`);
      const text: string[] = [];
      for (const name of names) text.push(name, ...(await allowed(await tokenOf(name))), "");
      const all = text.join("\n");
      if (process.env.GOLDEN === "1") await writeFile(GOLDEN, all);
      assert.fixture(all, await readFile(GOLDEN, "utf8"));
      console.log(`\n#measured policies at Vault: ${names.length} on ${paths.length} paths each`);
    });

    test("a request that is not written down gets 403, and one that is does not", async () => {
      const asked: [string, string, "read" | "write", boolean][] = [
        ["muster-viewer", "operators/sign/viewer", "write", true],
        ["muster-viewer", "operators/sign/operator", "write", false],
        ["muster-operator", "operators/sign/operator", "write", true],
        ["muster-operator", "operators/sign/admin", "write", false],
        ["muster-operator", "identity/entity/name/alice", "read", false],
        ["muster-ci", "operators/sign/ci", "write", true],
        ["muster-ci", "operators/sign/viewer", "write", false],
        ["muster-admin", "transit/sign/operator-signing", "write", true],
        ["muster-admin", "operators/sign/kit", "write", false],
        ["muster-admin", "sys/policies/acl/muster-admin", "write", false],
        ["muster-admin", "transit/keys/operator-signing/rotate", "write", false],
        ["muster-controller", "transit/sign/fleet-agent", "write", true],
        ["muster-controller", "transit/sign/operator-signing", "write", false],
        ["muster-controller", "auth/token/create", "write", false],
        ["muster-controller", "kv/data/alerts/smtp", "read", true],
        ["muster-controller", "kv/data/alerts/smtp", "write", false],
        ["muster-controller", "kv/data/alerts/smtp/deeper", "read", false],
        ["muster-controller", "kv/data/muster/fleet", "read", false],
        ["muster-admin", "kv/data/alerts/smtp", "write", true],
        ["muster-admin", "kv/data/alerts/smtp", "read", false],
        ["muster-operator", "kv/data/alerts/smtp", "write", false],
        ["muster-host", "kv/data/alerts/smtp", "read", false],
        ["muster-host", "kv/data/hosts/ixp1/bird", "read", true],
        ["muster-host", "kv/data/hosts/ixp2/bird", "read", false],
        ["muster-host", "kv/data/hosts/ixp1", "read", false],
        ["muster-check", "services/roles/host", "read", true],
        ["muster-check", "kv/data/muster/fleet", "read", false],
      ];
      for (const [name, path, verb, may] of asked) {
        const vault = server.root.withToken(await tokenOf(name));
        const answer = await (verb === "read" ? vault.read(path, z.unknown()) : vault.write(path, {})).then(
          () => "done",
          (error: FleetError) => error.code,
        );
        // Allowed and refused for its content (an empty request) is allowed.
        assert.is(answer !== "VAULT_DENIED", may, `${name} ${verb} ${path}: ${answer}`);
      }
    });

    test("an admin gives the fleet's ranks and nothing else, and takes no entity's place", async () => {
      const admin = server.root.withToken(await tokenOf("muster-admin"));
      const denied = async (path: string, body: object) => {
        const code = await admin.write(path, body).then(
          () => "done",
          (error: FleetError) => error.code,
        );
        assert.is(code, "VAULT_DENIED", `${path} ${JSON.stringify(body)}`);
      };
      await admin.write("identity/entity/name/bob", { policies: "muster-viewer", disabled: false });
      await denied("identity/entity/name/bob", { policies: "root" });
      await denied("identity/entity/name/bob", { policies: "muster-controller" });
      await denied("identity/entity/name/bob", { policies: "muster-viewer", id: "0" });
      await denied("auth/userpass/users/bob", { password: "x", token_policies: ["muster-controller"] });
      // What a provider says is who somebody is, never what they may; and it sends the browser to the person's own machine alone.
      const role = { user_claim: "sub", bound_claims: { sub: "bob" }, token_no_default_policy: true };
      await denied("auth/muster-oidc/role/bob", {
        ...role,
        role_type: "oidc",
        token_policies: "muster-admin",
      });
      await denied("auth/muster-oidc/role/bob", { ...role, role_type: "oidc", groups_claim: "groups" });
      await denied("auth/muster-oidc/role/bob", {
        ...role,
        role_type: "oidc",
        allowed_redirect_uris: "https://elsewhere.example/oidc/callback",
      });
      await denied("auth/muster-ci/role/bob", { ...role, role_type: "jwt", policies: "muster-admin" });
      await denied("auth/muster-ci/role/bob", { ...role, role_type: "oidc" });
    });
  },
  { limit_ms: 45_000 },
);

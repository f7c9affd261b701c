/** The Vault port on a real Vault: log-ins, typed answers, errors without secrets, sealing, several addresses, renewal. */

import { openVault, type RenewalEvent, type Vault } from "@muster/ports/vault";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import * as z from "zod";
import { freePort } from "../../kit/child.ts";
import { patienceOf } from "../../kit/patience.ts";
import { suite } from "../../kit/suite.ts";
import { startVault, type VaultServer } from "../../kit/vault.ts";

async function code(work: Promise<unknown>): Promise<FleetError> {
  try {
    await work;
  } catch (error) {
    assert.instance(error, FleetError);
    return error as FleetError;
  }
  throw new Error("no error came");
}

suite(
  "vault port",
  (test) => {
    const life = new AbortController();
    let server: VaultServer;
    let root: Vault;

    test.before(async () => {
      server = await startVault(life.signal);
      root = server.root;
      await root.write("sys/mounts/secret", { type: "kv", options: { version: "2" } });
      await root.write("sys/auth/approle", { type: "approle" });
      await root.write("sys/auth/userpass", { type: "userpass" });
      await root.write("sys/policies/acl/reader", {
        policy: 'path "secret/data/open/*" { capabilities = ["read"] }',
      });
      await root.write("auth/userpass/users/anna", { password: "correct horse", token_policies: ["reader"] });
    });
    test.after(async () => {
      life.abort();
      await server.stop();
    });

    test("reads and writes, typed", async () => {
      await root.write("secret/data/open/a", { data: { word: "hello" } });
      const Kv = z.object({ data: z.object({ word: z.string() }) });
      assert.is((await root.read("secret/data/open/a", Kv)).data.word, "hello");
      assert.equal(await root.list("secret/metadata/open"), ["a"]);
      assert.equal(await root.list("secret/metadata/nothing"), []);
      const wrong = await code(
        root.read("secret/data/open/a", z.object({ data: z.object({ word: z.number() }) })),
      );
      assert.is(wrong.code, "INVALID");
      assert.match(wrong.detail, /secret\/data\/open\/a.*data\.word/);
      await root.remove("secret/metadata/open/a");
      assert.is((await code(root.read("secret/data/open/a", Kv))).code, "VAULT_NOT_FOUND");
    });

    test("names with odd characters stay one segment", async () => {
      for (const name of ["a'b#c", "a?list=true", "100%", "ä ö", "a&#x2F;b"]) {
        await root.write(["secret", "data", "odd", name], { data: { word: name } });
        const back = await root.read(
          ["secret", "data", "odd", name],
          z.object({ data: z.object({ word: z.string() }) }),
        );
        assert.is(back.data.word, name);
      }
      assert.is((await root.list("secret/metadata/odd")).length, 5);
    });

    test("logs in as its own identity and leaves the other alone", async () => {
      const open = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      const [anna, ben] = await Promise.all([
        open.loginUserpass("anna", "correct horse"),
        root
          .write("auth/userpass/users/ben", { password: "battery staple" })
          .then(() => open.loginUserpass("ben", "battery staple")),
      ]);
      assert.is((await anna.lookupSelf()).display_name, "userpass-anna");
      assert.is((await ben.lookupSelf()).display_name, "userpass-ben");
      assert.is((await code(open.lookupSelf())).code, "VAULT_DENIED");
      await anna.revokeSelf();
      assert.is((await ben.lookupSelf()).display_name, "userpass-ben");
    });

    test("AppRole", async () => {
      await root.write("auth/approle/role/controller", { token_policies: ["reader"], token_ttl: "1h" });
      const { role_id } = await root.read(
        "auth/approle/role/controller/role-id",
        z.object({ role_id: z.string() }),
      );
      const { secret_id } = await root.write(
        "auth/approle/role/controller/secret-id",
        {},
        z.object({ secret_id: z.string() }),
      );
      const open = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      const controller = await open.loginAppRole(role_id, secret_id);
      assert.ok((await controller.lookupSelf()).policies.includes("reader"));
      const refused = await code(open.loginAppRole(role_id, "b1946ac9-2492-d234-7c62-35ad1cc0a2d0"));
      assert.is(refused.code, "VAULT_DENIED");
      assert.not.match(JSON.stringify([refused.message, refused.detail, refused.stack]), /b1946ac9/);
    });

    test("errors carry Vault's words and no secret", async () => {
      const open = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      const anna = await open.loginUserpass("anna", "correct horse");
      const denied = await code(anna.write("secret/data/open/x", { data: { word: "canary-payload" } }));
      assert.is(denied.code, "VAULT_DENIED");
      assert.match(denied.detail, /permission denied/);
      const wrong = await code(open.loginUserpass("anna", "canary-password"));
      assert.is(wrong.code, "VAULT_DENIED");
      // These refusals quote what was sent: a value that may be a secret is hidden, a type is not.
      const refused = await code(root.write("auth/approle/role/x", { token_ttl: "canary-no-time" }));
      assert.is(refused.code, "VAULT_REFUSED");
      assert.match(refused.detail, /token_ttl/);
      const missing = await code(root.write("sys/mounts/new", { type: "engine-that-is-none" }));
      assert.match(missing.detail, /engine-that-is-none/);
      for (const error of [denied, wrong, refused]) {
        const all = everything(error);
        assert.not.match(all, /canary/);
        assert.not.ok(all.includes(anna.revealToken() ?? "?"));
        assert.not.ok(all.includes(server.root_token));
      }
      assert.not.match(everything(anna), /hvs\./);
    });

    test("wrapped answers", async () => {
      const Wrapped = z.object({ wrap_info: z.object({ token: z.string(), creation_path: z.string() }) });
      const { wrap_info } = await root.write("auth/token/create", { ttl: "5m" }, Wrapped, { wrap_ttl_s: 60 });
      assert.is(wrap_info.creation_path, "auth/token/create");
      const Unwrapped = z.object({ auth: z.object({ client_token: z.string() }) });
      await root.withToken(wrap_info.token).write("sys/wrapping/unwrap", {}, Unwrapped);
      assert.is(
        (await code(root.withToken(wrap_info.token).write("sys/wrapping/unwrap", {}, Unwrapped))).code,
        "VAULT_REFUSED",
      );
    });

    test("takes the next address when one is gone or wrong", async () => {
      const dead = `https://127.0.0.1:${await freePort()}`;
      const both = openVault({ addresses: [dead, server.address], ca_pem: server.ca_pem }, life.signal);
      assert.is((await both.withToken(server.root_token).lookupSelf()).display_name, "root");
      assert.is((await both.health()).address, server.address);
      const none = openVault({ addresses: [dead], ca_pem: server.ca_pem }, life.signal);
      assert.is((await code(none.withToken(server.root_token).lookupSelf())).code, "VAULT_UNREACHABLE");
    });

    test("renews before the end and logs in again when the maximum is near", async () => {
      await root.write("auth/userpass/users/short", {
        password: "pass word 1",
        token_ttl: "10s",
        token_max_ttl: "16s",
      });
      const open = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      const short = await open.loginUserpass("short", "pass word 1");
      const first = short.revealToken();
      const events: RenewalEvent[] = [];
      const keeping = new AbortController();
      const kept = short.keepToken(
        { login: () => open.loginUserpass("short", "pass word 1"), report: (event) => events.push(event) },
        keeping.signal,
      );
      // A machine that stands still longer than what is left of a token, two seconds before the maximum, may lose one: the identity is there again all the same.
      let [stood_ms, looks, lost, seen_at] = [0, 0, 0, performance.now()];
      const refused = (error: unknown) => error instanceof FleetError && !error.retryable;
      const has = (type: RenewalEvent["type"]) => events.some((event) => event.type === type);
      await until(() => {
        stood_ms = Math.max(stood_ms, performance.now() - seen_at);
        seen_at = performance.now();
        if (looks++ % 8 === 0)
          short.lookupSelf().catch((error: unknown) => {
            lost += Number(refused(error));
          });
        return has("renewed") && has("logged_in");
      }, 30_000);
      assert.is((await short.lookupSelf()).display_name, "userpass-short");
      keeping.abort();
      await kept;
      assert.is.not(short.revealToken(), first);
      assert.ok(events.length < 30, `${events.length} events`);
      const failed = events.filter((event) => event.type === "failed" && refused(event.error));
      if (stood_ms < 500) assert.equal([lost, failed], [0, []]);
    });

    test("goes on renewing after Vault was sealed, and says that it is sealed", async () => {
      await root.write("auth/userpass/users/sturdy", { password: "pass word 2", token_ttl: "6s" });
      const open = openVault({ addresses: [server.address], ca_pem: server.ca_pem }, life.signal);
      const sturdy = await open.loginUserpass("sturdy", "pass word 2");
      const events: RenewalEvent[] = [];
      const keeping = new AbortController();
      const kept = sturdy.keepToken(
        { login: () => open.loginUserpass("sturdy", "pass word 2"), report: (event) => events.push(event) },
        keeping.signal,
      );
      await server.seal();
      const sealed = await code(sturdy.lookupSelf());
      assert.is(sealed.code, "VAULT_SEALED");
      assert.is((await open.health()).sealed, true);
      await until(() => events.some((event) => event.type === "failed"), 8_000);
      await server.unseal();
      const before = events.length;
      await until(() => events.slice(before).some((event) => event.type !== "failed"), 15_000);
      assert.is((await sturdy.lookupSelf()).display_name, "userpass-sturdy");
      keeping.abort();
      await kept;
    });
  },
  { limit_ms: 40_000 },
);

async function until(done: () => boolean, limit_ms: number): Promise<void> {
  const patience = patienceOf(limit_ms);
  while (!done()) {
    if (patience.over()) throw new Error(`did not happen in ${patience.text()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Everything that a logger or a careless JSON.stringify could show of a value. */
function everything(value: object): string {
  const seen = new Set<unknown>();
  const walk = (item: unknown): unknown => {
    if (typeof item !== "object" || item === null) return item;
    if (seen.has(item)) return "";
    seen.add(item);
    return Object.getOwnPropertyNames(item).map((name) => [name, walk(Reflect.get(item, name))]);
  };
  return JSON.stringify(walk(value));
}

// limit: 120 s
/**
 * The hostile controller: a program that has all that a controller has, its disk, its Vault log-in, its bus access and its certificate, and tries to read a
 * secret, to make an identity or an authority, to publish altered state and to have a host do what no operator signed. Every attempt must be refused by the
 * real Vault, broker or agent, with the refusal that is meant; the table is printed. Promises P1 to P4 of docs/security.md.
 */
import { X509Certificate } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bus } from "@muster/ports/bus";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { SSH_PUBLIC_KEY } from "../kit/fleet.ts";
import { suite } from "../kit/suite.ts";
import { type Attempt, attempt, codeOf, tableOf } from "./controller/attempts.ts";
import { busAttempts } from "./controller/bus-attempts.ts";
import { certificateAttempts } from "./controller/certificate-attempts.ts";
import { type Ground, held, makeGround } from "./controller/ground.ts";
import { orderAttempts, stateAttempts } from "./controller/host-attempts.ts";
import { type HostileController, hostileController } from "./controller/hostile.ts";
import { CALLS, call, MAY, ONCE, vaultAttempts } from "./controller/vault-attempts.ts";

suite(
  "a hostile controller",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    let hostile: HostileController;
    let operator_bus: Bus;
    let before: Awaited<ReturnType<typeof held>>;
    const denied = new Set<string>();
    let refused = 0;

    test.before(
      async () => {
        ground = await makeGround(life.signal);
        hostile = await hostileController(ground.config_file, life.signal, (event) => {
          if (event.type === "denied") denied.add(event.subject);
        });
        operator_bus = (await hostile.connect("operator", "alice", life.signal)).bus;
        before = await held(ground);
      },
      { limit_ms: 60_000 },
    );
    test.after(async () => {
      life.abort();
      await ground.stop();
    });

    const allRefused = async (attempts: readonly Attempt[], at_once?: number) => {
      const outcomes = await attempt(attempts, at_once);
      console.log(`\n${tableOf(outcomes)}`);
      const wrong = outcomes.filter(({ right }) => !right);
      assert.is(
        wrong.length,
        0,
        `${wrong.length} of ${outcomes.length}:\n${tableOf(wrong.length > 0 ? wrong : outcomes)}`,
      );
      refused += outcomes.length;
    };

    test("P1: its disk holds one secret, that of its Vault log-in, and no key", async () => {
      const files = await readdir(ground.disk);
      const texts = await Promise.all(files.map((name) => readFile(join(ground.disk, name), "utf8")));
      assert.equal(secretsIn(texts.join("\n"), ground.canaries), []);
      assert.equal(files.toSorted(), [
        "broker-ca.pem",
        "config.json",
        "role_id",
        "secret_id",
        "vault-ca.pem",
      ]);
    });

    test("P1, P2: Vault gives it no secret, no log-in and no authority", () =>
      allRefused(vaultAttempts(hostile.vault)));

    test("P2: what Vault lets it sign cannot be bent", () => {
      const { operators, controllers } = ground.made.ca;
      return allRefused(certificateAttempts(hostile, { operators, controllers }));
    });

    test("P2, P4: the broker refuses what is a host's, an admin's or another account's", () => {
      const { system, enrol } = ground.fleet.other_accounts;
      const target = { id: ground.victim.id, host: "core1", system, enrol };
      return allRefused(busAttempts(hostile, target, denied, life.signal));
    });

    test(
      "P4: a host refuses its orders",
      async () => {
        await sleep(Math.max(0, ground.lapses_at + 100 - Date.now()));
        await allRefused(orderAttempts(hostile, ground.victim, operator_bus));
      },
      { limit_ms: 40_000 },
    );

    test("P4: a host refuses state and trust that no person signed", () =>
      allRefused(stateAttempts(hostile, ground.victim), 1));

    test("after all of it the host is as its operator left it", async () => {
      assert.equal(await held(ground), before);
      assert.is(before.state.generation, 3);
      console.log(`\n#measured attempts of a hostile controller refused: ${refused}`);
    });

    test("what it may do it can: the refusals are no dead log-in's", async () => {
      for (const path of MAY)
        assert.is(
          await codeOf(call(hostile.vault, ["write", path, {}])).then((code) => code !== "VAULT_DENIED"),
          true,
          path,
        );
      for (const name of ["core1", "c0", "9-9", "localhost1"]) {
        const csr = await makeCsr(makeKey("p256").private_pem, { common_name: name });
        const { text } = await hostile.issuer.serviceCertificate(name, csr);
        assert.is(new X509Certificate(text).subjectAltName, `DNS:${name}, DNS:${name}.lab`);
      }
      assert.match(
        (await hostile.issuer.sshCertificate("core1", SSH_PUBLIC_KEY)).text,
        /-cert-v01@openssh.com /,
      );
      const reply = await hostile.bus.request(
        `rpc.${ground.victim.id}.ping`,
        Buffer.from('{"v":1,"args":{}}'),
        {
          timeout_ms: 20_000,
        },
      );
      assert.match(Buffer.from(reply.body).toString(), /"ok"/);
    });

    test(
      "what was tried at Vault is there: with all rights each path is one that Vault knows",
      async () => {
        const { root } = ground.vault;
        const unknown: string[] = [];
        for (const each of CALLS.filter(([verb, path]) => verb !== "remove" && !ONCE.test(path))) {
          try {
            await call(root, each);
          } catch (error) {
            if (!(error instanceof FleetError)) throw error;
            if (/no handler for route|unsupported (path|operation)/.test(error.detail))
              unknown.push(`${each[0]} ${error.detail}`);
          }
        }
        assert.equal(unknown, []);
      },
      { limit_ms: 40_000 },
    );
  },
  { limit_ms: 30_000 },
);

/** What must not lie around: seeds of nkeys, private keys, tokens of Vault, and what was planted. */
function secretsIn(text: string, canaries: readonly string[]): string[] {
  const found =
    text.match(/\bS[OAUNCX][A-Z2-7]{56}\b|PRIVATE KEY|\bhv[sbr]\.[\w-]{20,}|eyJ0eXAiOiJKV1Qi/g) ?? [];
  return [...found, ...canaries.filter((canary) => text.includes(canary))];
}

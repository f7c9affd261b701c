// limit: 180 s
/** Credentials that live for seconds renew themselves through a controller restart, a sealed Vault and a broker restart. */
import type { CredentialName } from "@muster/agent/credentials";
import * as assert from "uvu/assert";
import { dueAt } from "../../../packages/agent/src/renewal.ts";
import { slowness } from "../../kit/figures.ts";
import { watchLives } from "../../kit/lives.ts";
import { suite } from "../../kit/suite.ts";

const LIVES_S = { bus: 40, identity: 60, service: 24, ssh: 24 } as const;
/** For the longest of these nothing can be signed. */
const FAULTS = {
  controller: { at_s: 3, for_s: 3 },
  vault: { at_s: 10, for_s: 5 },
  broker: { at_s: 21, for_s: 2 },
} as const;
const JITTER = 1.1;
/** Of a life, between two tries at the most. */
const BETWEEN_TRIES = 1 / 20;
/** What a renewal takes, and how long an agent may be busy with one: on a machine that is free. */
const WORK_S = 2;
const SILENT_MS = 3_000;
/** A machine may stand still between two looks at how slow it is. */
const STOOD_STILL = 2;
/** Of a life: with less of it left the agent calls a person, and is right. */
const CALLS_AT = 0.4;

/** What of its life has to be left at the worst: due as late as may be, kept from it by the longest outage, tried again as late as may be. */
function leftAtWorst(name: CredentialName, slow: number): number {
  const life_s = LIVES_S[name];
  const due_s = dueAt(name, { from: 0, to: life_s }, JITTER);
  return 1 - (due_s + FAULTS.vault.for_s + WORK_S * slow) / life_s - BETWEEN_TRIES;
}

suite(
  "short lives",
  (test) => {
    test("all credentials renew without a gap, whatever is away for a while", async () => {
      const before = slowness();
      const report = await watchLives({
        lives_s: LIVES_S,
        duration_s: 32,
        faults: FAULTS,
        say: (text) => console.log(`    ${new Date().toISOString().slice(17, 23)} ${text}`),
      });
      const slow = Math.max(STOOD_STILL, before, slowness());
      const { renewed, least_left, silent_ms, back_ms, told, log } = report;
      console.log(`    ${JSON.stringify({ renewed, least_left, silent_ms, back_ms })}`);
      for (const [name, count] of Object.entries(renewed))
        assert.ok(count >= 2, `${name} renewed ${count} times\n${log}`);
      for (const name of Object.keys(LIVES_S) as CredentialName[]) {
        const [left, least] = [least_left[name], leftAtWorst(name, slow)];
        assert.ok(left > least, `${name}: ${left} of its life was left, and ${least} should be\n${log}`);
        assert.ok(left > 0, `${name} had ended\n${log}`);
      }
      assert.ok(silent_ms < SILENT_MS * slow, `no answer for ${silent_ms} ms\n${log}`);
      const short = Object.values(least_left).some((left) => left < CALLS_AT);
      assert.ok(short || told.length === 0, told.join());
    });
  },
  { limit_ms: 58_000 },
);

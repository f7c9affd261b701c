/** Credentials that live for seconds renew themselves through a controller restart, a sealed Vault and a broker restart. */
import * as assert from "uvu/assert";
import { watchLives } from "../../kit/lives.ts";
import { suite } from "../../kit/suite.ts";

suite(
  "short lives",
  (test) => {
    test("all credentials renew without a gap, whatever is away for a while", async () => {
      const report = await watchLives({
        lives_s: { bus: 40, identity: 60, service: 24, ssh: 24 },
        duration_s: 32,
        faults: {
          controller: { at_s: 3, for_s: 3 },
          vault: { at_s: 10, for_s: 5 },
          broker: { at_s: 21, for_s: 2 },
        },
        say: (text) => console.log(`    ${new Date().toISOString().slice(17, 23)} ${text}`),
      });
      const { renewed, least_left, silent_ms, back_ms, told, log } = report;
      console.log(`    ${JSON.stringify({ renewed, least_left, silent_ms, back_ms })}`);
      for (const [name, count] of Object.entries(renewed))
        assert.ok(count >= 2, `${name} renewed ${count} times\n${log}`);
      for (const [name, left] of Object.entries(least_left))
        assert.ok(left > 0, `${name} had ended: ${left} of its life left\n${log}`);
      assert.ok(silent_ms < 8_000, `no answer for ${silent_ms} ms\n${log}`);
      assert.equal(told, []);
    });
  },
  { limit_ms: 58_000 },
);

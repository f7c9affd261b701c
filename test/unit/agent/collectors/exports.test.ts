/** How often what is sent to whom is asked: what is expected every ten seconds however many own prefixes there are, these less often, and all of it within bounds. */
import { createExports } from "@muster/agent/collectors/exports";
import { Bird } from "@muster/protocol";
import type { BgpSession } from "@muster/protocol/telemetry/bgp";
import * as assert from "uvu/assert";
import type { Choice } from "../../../../packages/agent/src/collectors/speaker.ts";
import { suite } from "../../../kit/suite.ts";

const ASKED = "192.0.2.0/24";

function ground(sessions: number, own: number) {
  const { signal } = new AbortController();
  const names = Array.from({ length: sessions }, (_, at) => `peer${at}`);
  const seen = names.map((name) => ({ name, state: "established", since: { at: null } }) as BgpSession);
  let [clock, questions, answer] = [0, 0, true];
  const speaker = {
    async exported(_session: string, prefixes: readonly string[]) {
      questions += prefixes.length;
      return Object.fromEntries(prefixes.map((prefix) => [prefix, answer]));
    },
  };
  const choice = {
    ...{ name: "bird", sessions: [], speaker },
    originated: [ASKED, ...Array.from({ length: own }, (_, at) => `10.${at}.0.0/16`)],
    spec: Bird.parse({
      config: "",
      expect: Object.fromEntries(names.map((name) => [name, { export: [ASKED] }])),
    }),
  } as unknown as Choice;
  const exports = createExports(() => clock);
  /** How many questions it put. */
  const counted = async (ask: () => Promise<unknown>) => {
    const before = questions;
    await ask();
    return questions - before;
  };
  return {
    asked: (at_ms: number) => {
      clock = at_ms;
      return counted(() => exports.of(choice, seen, signal));
    },
    found: () => exports.of(choice, seen, signal),
    moved: async (at_ms: number) => {
      clock = at_ms;
      const before = questions;
      return [await exports.moved(choice, signal), questions - before];
    },
    /** This session was down for a moment. */
    flapped: (name: string) => {
      for (const session of seen)
        if (session.name === name) session.since = { ...session.since, at: `${clock}` };
    },
    answer: (now: boolean) => {
      answer = now;
    },
  };
}

suite("exports of sessions", (test) => {
  test("a hundred sessions: what is expected every ten seconds, other own prefixes every eighty", async () => {
    const { asked } = ground(100, 10);
    assert.is(await asked(0), 500, "one of each, and ten more of forty");
    assert.is(await asked(9_000), 0);
    for (let at_ms = 10_000; at_ms < 80_000; at_ms += 10_000) assert.is(await asked(at_ms), 100);
    assert.is(await asked(80_000), 500);
  });

  test("of thousands expected none is left out, and they are asked fifty a second at most", async () => {
    const { asked } = ground(2_000, 10);
    assert.is(await asked(0), 2_000);
    assert.is(await asked(39_000), 0);
    assert.is(await asked(40_000), 2_000);
  });

  test("a session that flaps is asked anew at once, and it alone", async () => {
    const { asked, flapped } = ground(40, 10);
    assert.is(await asked(0), 40 + 40 * 10);
    flapped("peer3");
    assert.is(await asked(1_000), 11);
    assert.is(await asked(2_000), 0);
    // Its own turn comes ten seconds after its last.
    assert.is(await asked(10_000), 39);
    assert.is(await asked(11_000), 1);
  });

  test("between two looks what is expected alone is asked, and a changed answer is seen", async () => {
    const { asked, found, moved, answer } = ground(10, 5);
    assert.equal(await moved(0), [false, 0], "nothing was seen yet");
    await asked(0);
    assert.equal(await moved(9_000), [false, 0]);
    assert.equal(await moved(10_000), [false, 10]);
    answer(false);
    assert.equal(await moved(20_000), [true, 10]);
    assert.is(await asked(20_000), 50, "the own ones are due");
    assert.is((await found()).get("peer3")?.[ASKED], false);
  });
});

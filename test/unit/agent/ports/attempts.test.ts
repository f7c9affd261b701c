/** When what failed is tried again: later each time, not later than half an hour, at once for another thing and after a success. */
import { createAttempts } from "@muster/agent/ports/index";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

suite("attempts", (test) => {
  test("pauses double up to half an hour, with jitter; a success or another key begins anew", async () => {
    let now_ms = Date.parse("2026-11-21T06:00:00Z");
    let random = 0.5;
    let asked = 0;
    const attempts = createAttempts(
      () => now_ms,
      () => random,
    );
    const fail = async (key: string) => {
      try {
        await attempts.try(key, async () => {
          asked += 1;
          throw new FleetError("DOCKER_REFUSED", "connection refused");
        });
      } catch (error) {
        if (error instanceof FleetError) return error;
        throw error;
      }
      throw new Error("no error");
    };
    for (const pause_s of [30, 60, 120, 240, 480, 960, 1_800, 1_800]) {
      const { detail } = await fail("web");
      const before = asked;
      now_ms += pause_s * 1_000 - 1;
      assert.is((await fail("web")).detail, detail);
      assert.is(asked, before, `asked before ${pause_s} s were over`);
      now_ms += 1;
    }
    await attempts.try("web", async () => undefined);
    const before = asked;
    await fail("web");
    now_ms += 30_000;
    await fail("web");
    assert.is(asked, before + 2, "after a success it begins anew");
    assert.match((await fail("other")).detail, /^connection refused; next try 2026-/);
    const askedAgain = async (key: string, after_ms: number) => {
      await fail(key);
      const tries = asked;
      now_ms += after_ms;
      await fail(key);
      return asked > tries;
    };
    random = 1;
    assert.not.ok(await askedAgain("late", 35_000));
    random = 0;
    assert.ok(await askedAgain("early", 24_000));
  });
});

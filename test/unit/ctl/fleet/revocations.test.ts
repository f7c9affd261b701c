/** Which keys an account voids: what lapses, what adds up, and what is too much. */
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { pruned, REVOCATIONS, revoking } from "../../../../packages/ctl/src/fleet/revocations.ts";
import { suite } from "../../../kit/suite.ts";

const NOW = 1_800_000_000_000;
const S = NOW / 1_000;

suite("revocations", (test) => {
  test("an entry goes when its credential would have ended anyway", () => {
    assert.equal(pruned({ UA: S + 1, UB: S, UC: S - 1 }, NOW), { UA: S + 1 });
  });

  test("a key is void until its credential ends, also when that is past, and never for shorter than before", () => {
    assert.equal(revoking({ UA: S + 10 }, new Map([["UB", NOW + 5_400]]), NOW), { UA: S + 10, UB: S + 6 });
    assert.equal(revoking({}, new Map([["UB", 0]]), NOW), { UB: S });
    assert.is(revoking({ UA: S + 10 }, new Map([["UA", NOW + 9_000]]), NOW), null);
    assert.equal(revoking({ UA: S + 10 }, new Map([["UA", NOW + 11_000]]), NOW), { UA: S + 11 });
  });

  test("more than the broker bears is refused, and what has lapsed makes room", () => {
    const full = Object.fromEntries(Array.from({ length: REVOCATIONS }, (_, at) => [`U${at}`, S + 60]));
    try {
      revoking(full, new Map([["UX", NOW + 60_000]]), NOW);
      assert.unreachable("it was taken");
    } catch (error) {
      assert.ok(error instanceof FleetError && error.code === "TOO_LARGE", String(error));
    }
    assert.equal(revoking(full, new Map([["UX", NOW + 120_000]]), NOW + 61_000), { UX: S + 120 });
  });
});

/** Which rollout `ctl watch` shows where nobody can tell of one: none, or the one that is known, and all else goes on. */
import { newestRollout } from "@muster/ctl/watch/rollout";
import { type ErrorCode, FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { outcome } from "../../../kit/outcome.ts";
import { suite } from "../../../kit/suite.ts";

type Arguments = Parameters<typeof newestRollout>;

suite("the rollout of ctl watch", (test) => {
  const asks = (rank: "viewer" | "operator", code: ErrorCode, known: Arguments[2] = null) => {
    const bus = { request: () => Promise.reject(new FleetError(code, "said so")) };
    const connection = { bus, signer: null, now: Date.now } as unknown as Arguments[1];
    return newestRollout({ rank }, connection, known);
  };

  test("without a right to ask, in a fleet or of a controller from before, or without a controller there is none", async () => {
    for (const rank of ["viewer", "operator"] as const)
      for (const code of ["BUS_DENIED", "NOT_FOUND", "NO_RESPONDER", "TIMEOUT"] as const)
        assert.is(await asks(rank, code), null, `${rank} ${code}`);
    const known = { id: "r1" } as unknown as Arguments[2];
    assert.is(await asks("viewer", "TIMEOUT", known), known);
    assert.is(await outcome(asks("viewer", "BAD_SIGNATURE")), "BAD_SIGNATURE");
  });
});

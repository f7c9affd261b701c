/** The on-node policy: a person's limits by group and by verb. */
import { judgeCall } from "@muster/agent/policy";
import type { Rank } from "@muster/protocol/certificate";
import { FleetError } from "@muster/protocol/errors";
import { NodePolicy } from "@muster/protocol/trust";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const policy = NodePolicy.parse({
  operators: {
    bob: { groups: ["ixp"], verbs: ["switch"] },
    carol: { verbs: [] },
    deploy: { groups: ["ixp"] },
  },
  ranks: { ci: { verbs: ["plan", "apply"] }, viewer: { groups: ["probe"] } },
});
const refusal = (name: string, method: string, groups: string[], rank: Rank = "operator") => {
  try {
    judgeCall(policy, { name, rank, guest: null }, method, groups);
    return null;
  } catch (error) {
    if (error instanceof FleetError) return [error.code, error.detail];
    throw error;
  }
};

suite("the on-node policy", (test) => {
  test("verbs limit what is more than reading; a stream was judged when it was opened", () => {
    assert.is(refusal("bob", "switch", ["ixp"]), null);
    assert.is(refusal("bob", "birdc", ["ixp"]), null);
    assert.is(refusal("bob", "next", ["ixp"]), null);
    assert.equal(refusal("bob", "exec", ["ixp"]), ["NOT_ALLOWED", "bob is limited to switch"]);
    assert.equal(refusal("bob", "reboot", ["ixp"]), ["NOT_ALLOWED", "bob is limited to switch"]);
    assert.equal(refusal("carol", "logs", []), ["NOT_ALLOWED", "carol is limited to reading"]);
    assert.is(refusal("alice", "exec", []), null, "nobody limits alice");
  });

  test("groups limit everything, reading too", () => {
    assert.equal(refusal("bob", "birdc", ["core"]), ["NOT_ALLOWED", "bob is limited to the groups ixp"]);
  });

  test("a rank's limits hold for everybody of it, beside his own", () => {
    const limited = ["NOT_ALLOWED", "the rank ci is limited to plan, apply"];
    assert.equal(refusal("deploy", "reconcile", ["ixp"], "ci"), limited);
    assert.equal(refusal("other", "images", [], "ci"), limited);
    assert.is(refusal("deploy", "plan", ["ixp"], "ci"), null);
    assert.equal(refusal("deploy", "plan", ["core"], "ci"), [
      "NOT_ALLOWED",
      "deploy is limited to the groups ixp",
    ]);
    assert.equal(refusal("vera", "facts", ["core"], "viewer"), [
      "NOT_ALLOWED",
      "the rank viewer is limited to the groups probe",
    ]);
    assert.is(refusal("alice", "exec", ["core"], "admin"), null);
  });

  test("a controller alone neither runs programs nor drains", () => {
    for (const method of ["exec", "switch", "reboot", "birdc"])
      assert.throws(
        () => judgeCall(policy, { name: "hub", rank: "controller", guest: null }, method, []),
        /not/,
      );
  });
});

/** Which hosts of the folder controllers are told of: nothing where they are from before or do not answer, and a person is shown only what nobody joined as. */
import { declaredChange } from "@muster/ctl/apply/declared";
import { DECLARED_LIMIT } from "@muster/protocol/declared";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { outcome } from "../../../kit/outcome.ts";
import { suite } from "../../../kit/suite.ts";

type Arguments = Parameters<typeof declaredChange>;
const NOW = 1_800_000_000_000;

suite("declared hosts on their way to controllers", (test) => {
  let answer = (): Promise<unknown> => Promise.reject(new FleetError("NO_RESPONDER", "nobody"));
  const connection = {
    bus: { request: () => answer() },
    ...{ signer: null, now: Date.now },
  } as unknown as Arguments[1];
  const session = { fleet: "lab" } as unknown as Arguments[0];
  const colour = { bold: String } as unknown as Arguments[3];
  const hosts = [
    { name: "core1", groups: ["core"] },
    { name: "probe1", groups: ["probe"] },
  ];
  const change = (all: Arguments[2] = hosts) => declaredChange(session, connection, all, colour, NOW);
  const says = (reply: object) => {
    answer = () => Promise.resolve({ body: Buffer.from(JSON.stringify({ ok: reply })) });
  };

  test("controllers from before, and those that do not answer, hold nobody up; what they refuse is said", async () => {
    for (const code of ["NOT_FOUND", "NO_RESPONDER", "TIMEOUT", "BUS_DENIED"] as const) {
      answer = () => Promise.reject(new FleetError(code, "no method declared"));
      assert.is(await change(), null, code);
    }
    answer = () => Promise.reject(new FleetError("NOT_ALLOWED", "a viewer"));
    assert.is(await outcome(change()), "NOT_ALLOWED");
  });

  test("all are told of, and only who never joined is shown", async () => {
    says({ document: null, missing: ["probe1"] });
    const first = await change();
    assert.equal(first?.lines, ["folder + 1 host that no machine joined as: probe1"]);
    assert.equal(first?.next, {
      ...{ v: 1, fleet: "lab", version: 1 },
      hosts: { core1: { groups: ["core"], since: NOW }, probe1: { groups: ["probe"], since: NOW } },
    });
    says({ document: null, missing: [] });
    assert.equal((await change())?.lines, []);
  });

  test("more than controllers take is an error that says so", async () => {
    const many = Array.from({ length: DECLARED_LIMIT + 1 }, (_, at) => ({ name: `h${at}`, groups: [] }));
    assert.is(await outcome(change(many)), "TOO_LARGE");
  });
});

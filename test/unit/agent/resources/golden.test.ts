/**
 * Golden plans: test/golden/plan/NAME.json holds what is declared and observed, and the plan that follows. `GOLDEN=1` writes the plans anew;
 * read the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { env } from "node:process";
import { type PlanInput, planAll } from "@muster/agent/resources/plan-all";
import { FleetError } from "@muster/protocol/errors";
import { Resource } from "@muster/protocol/resources/index";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

type Entry = {
  desired: unknown;
  observed?: unknown;
  /** The spec that was applied here before. */
  applied?: unknown;
  error?: { code: "PROTECTED_PATH"; detail: string };
  made?: boolean;
  kept?: string;
};
type Golden = {
  about: string;
  declared: Entry[];
  removed?: Entry[];
  owed?: PlanInput["owed"];
  plan: unknown;
};

const directory = new URL("../../../golden/plan/", import.meta.url);

const entryOf = ({
  desired,
  observed,
  applied,
  error,
  made = false,
  kept,
}: Entry): PlanInput["declared"][number] => ({
  resource: Resource.parse(desired),
  observed: error === undefined ? { value: observed } : { error: new FleetError(error.code, error.detail) },
  applied: applied === undefined ? null : Resource.parse({ ...(desired as object), spec: applied }).spec,
  made,
  kept: kept ?? null,
});

suite("golden plans", (test) => {
  const names = readdirSync(directory).filter((name) => name.endsWith(".json"));
  for (const name of names) {
    test(name, () => {
      const golden: Golden = JSON.parse(readFileSync(new URL(name, directory), "utf8"));
      const plan = planAll({
        declared: golden.declared.map(entryOf),
        removed: (golden.removed ?? []).map(entryOf),
        owed: golden.owed ?? [],
      });
      if (env.GOLDEN === "1")
        writeFileSync(new URL(name, directory), `${JSON.stringify({ ...golden, plan }, null, 2)}\n`);
      else assert.equal(JSON.parse(JSON.stringify(plan)), golden.plan);
    });
  }
});

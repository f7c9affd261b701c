/** Kind `check`: what must answer. `collectors/checks.ts` asks it, and tells whether it did. */
import { methodOf, targetOf } from "@muster/protocol/resources/check";
import { remembered } from "./remembered.ts";

export const check = remembered(
  "check",
  (spec) => `${methodOf(spec)} ${targetOf(spec)}, every ${spec.every}`,
);

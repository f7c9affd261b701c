/**
 * Kind `check`: nothing on the host changes by it. What is kept is the declaration itself, in the ledger: from there `collectors/checks.ts` takes what is to be
 * asked, so that a rollback, a return and a removal reach it as they reach everything else.
 */

import { contentHash } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { methodOf, targetOf } from "@muster/protocol/resources/check";
import type { ResourceKind } from "./kind.ts";

export const check: ResourceKind<"check", null> = {
  async observe() {
    return null;
  },
  plan(resource, _observed, { applied }) {
    const { name, spec } = resource;
    const hash = contentHash(spec);
    if (applied !== null && applied !== undefined && contentHash(applied) === hash)
      return { steps: [], notes: [] };
    const words = `${methodOf(spec)} ${targetOf(spec)}, every ${spec.every}`;
    const fresh = applied === null || applied === undefined;
    const step = {
      ref: `check/${name}`,
      action: "watch",
      args: { hash, ...(fresh ? { makes: true } : {}) },
      why: fresh ? words : `asked otherwise from now on: ${words}`,
      reversible: true,
    };
    return { steps: [step], notes: [] };
  },
  removal(resource, _observed, { applied }) {
    if (applied === null || applied === undefined) return { steps: [] };
    const ref = `check/${resource.name}`;
    return { steps: [{ ref, action: "remove", args: {}, why: "no longer declared", reversible: true }] };
  },
  async apply(step, _ports, _signal, { resource }) {
    if (step.action === "remove") return;
    if (step.action !== "watch") throw new FleetError("INVALID", `check has no step ${step.action}`);
    if (resource === null || contentHash(resource.spec) !== step.args.hash)
      throw new FleetError("ALTERED", `${step.ref}: another declaration than planned`);
  },
  managed: () => null,
  edit: () => ({ what: "cannot be edited by hand", at_ms: null }),
  watch: () => [],
};

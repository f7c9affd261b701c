/**
 * Kinds by which nothing on the host changes. What is kept is the declaration itself, in the ledger: from there a collector takes what is to be looked at, so
 * that a rollback, a return and a removal reach it as they reach everything else.
 */
import type { Kind, Spec } from "@muster/protocol";
import { contentHash } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import type { ResourceKind } from "./kind.ts";

/** @param words what is looked at, for the plan */
export function remembered<K extends Kind>(kind: K, words: (spec: Spec<K>) => string): ResourceKind<K, null> {
  return {
    async observe() {
      return null;
    },
    plan(resource, _observed, { applied }) {
      const spec = resource.spec as Spec<K>;
      const hash = contentHash(spec);
      const fresh = applied === null || applied === undefined;
      if (!fresh && contentHash(applied) === hash) return { steps: [], notes: [] };
      const step = {
        ref: `${kind}/${resource.name}`,
        action: "watch",
        args: { hash, ...(fresh ? { makes: true } : {}) },
        why: fresh ? words(spec) : `looked at otherwise from now on: ${words(spec)}`,
        reversible: true,
      };
      return { steps: [step], notes: [] };
    },
    removal(resource, _observed, { applied }) {
      if (applied === null || applied === undefined) return { steps: [] };
      const ref = `${kind}/${resource.name}`;
      return { steps: [{ ref, action: "remove", args: {}, why: "no longer declared", reversible: true }] };
    },
    async apply(step, _ports, _signal, { resource }) {
      if (step.action === "remove") return;
      if (step.action !== "watch") throw new FleetError("INVALID", `${kind} has no step ${step.action}`);
      if (resource === null || contentHash(resource.spec) !== step.args.hash)
        throw new FleetError("ALTERED", `${step.ref}: another declaration than planned`);
    },
    managed: () => null,
    edit: () => ({ what: "cannot be edited by hand", at_ms: null }),
    watch: () => [],
  };
}

/** Kind `directory`: is there, with that owner and mode. What is inside is not touched. */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { FileFacts } from "../ports/files.ts";
import { attributeArgs, attributeChange, attributesOf, editWords, pick } from "./attributes.ts";
import type { ResourceKind } from "./kind.ts";
import { refuseProtected } from "./protected.ts";

export type ObservedDirectory = {
  readonly facts: FileFacts | null;
  /** What it holds, at most so many names. */
  readonly holds: readonly string[];
  /** It holds more names than `holds` has. */
  readonly more: boolean;
};

const NAMES_KEPT = 1_000;

export const directory: ResourceKind<"directory", ObservedDirectory> = {
  async observe(resource, { files }) {
    await refuseProtected(resource.name, files);
    const facts = await files.facts(resource.name);
    const names = facts?.type === "directory" ? await files.list(resource.name) : [];
    return { facts, holds: names.slice(0, NAMES_KEPT), more: names.length > NAMES_KEPT };
  },
  plan(resource, { facts }) {
    const wanted = attributesOf(resource.spec);
    const ref = `directory/${resource.name}`;
    if (facts !== null && facts.type !== "directory")
      return {
        steps: [],
        notes: [],
        unsupported: `${resource.name} is there and is a ${facts.type}: remove it by hand first`,
      };
    if (facts === null) {
      const args = { path: resource.name, ...wanted, makes: true };
      return { steps: [{ ref, action: "make", args, why: "it is not there", reversible: true }], notes: [] };
    }
    const why = attributeChange(pick(facts), wanted);
    if (why === "") return { steps: [], notes: [] };
    const step: Step = {
      ref,
      action: "chmod",
      args: { path: resource.name, ...wanted },
      why,
      reversible: true,
    };
    return { steps: [step], notes: [] };
  },
  removal(resource, { facts, holds, more }, { made, going }) {
    if (facts === null) return { steps: [] };
    if (!made) return { left: `${resource.name} was there before Muster` };
    const rest = holds.filter((name) => !going.has(`${resource.name}/${name}`));
    if (more || rest.length > 0)
      return {
        left: `${resource.name} is not empty: it holds ${rest.slice(0, 5).join(", ")}${rest.length > 5 ? ", …" : ""}`,
      };
    const step: Step = {
      ref: `directory/${resource.name}`,
      action: "remove",
      args: { path: resource.name },
      why: "no longer declared, and empty",
      reversible: true,
    };
    return { steps: [step] };
  },
  async apply(step, { files }) {
    const path = String(step.args.path);
    await refuseProtected(path, files);
    if (step.action === "make" || step.action === "chmod")
      await files.makeDirectory(path, attributeArgs(step.args));
    else if (step.action === "remove") await files.remove(path);
    else throw new FleetError("INVALID", `directory has no step ${step.action}`);
  },
  managed: ({ facts }) => (facts === null ? null : { type: facts.type, ...pick(facts) }),
  edit: (_resource, { facts }) => ({ what: editWords(facts), at_ms: facts?.changed_ms ?? null }),
  watch: (resource) => [resource.name],
};

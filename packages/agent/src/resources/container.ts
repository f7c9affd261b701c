/** Kind `container`: declared so far; no host can have it yet, and each says so. */
import { FleetError } from "@muster/protocol/errors";
import type { ResourceKind } from "./kind.ts";

export const container: ResourceKind<"container", null> = {
  host_wide: true,
  observe: () => Promise.resolve(null),
  plan: () => ({ steps: [], notes: [], unsupported: "this agent does not drive Docker yet" }),
  removal: () => ({ left: "this agent does not drive Docker yet" }),
  apply: (step) => Promise.reject(new FleetError("INVALID", `container has no step ${step.action}`)),
  managed: () => null,
  edit: () => ({ what: "unknown", at_ms: null }),
  watch: () => [],
};

/**
 * Which hosts a fleet folder declares, as an operator signs it for the controllers at `ctl apply`: by it a host that no machine ever joined as is known to be missing. It reaches them
 * on `ctl.declare` and lies in bucket `alerts` as it was signed; whoever reads it there checks the signature again. It orders nothing.
 */
import { z } from "zod";
import type { Principal } from "./certificate.ts";
import { type Envelope, open, type Verifier } from "./envelope.ts";
import { parseJson } from "./errors.ts";
import { FleetName, GroupName, HostName, Instant } from "./names.ts";

/** What the document is signed as: nothing travels on it. */
export const DECLARED_SUBJECT = "declared";

export const DECLARED_LIMIT = 10_000;
/** The most bytes of the document: it goes in one message. */
export const DECLARED_BYTES = 700_000;

export const DeclaredHost = z.object({
  groups: z.array(GroupName).max(256).describe("Those that the folder has it in."),
  since: Instant.describe("When an apply told of it first."),
});
export type DeclaredHost = z.infer<typeof DeclaredHost>;

/** A host of the folder that no machine ever joined as. */
export const MissingHost = DeclaredHost.extend({ name: HostName });
export type MissingHost = z.infer<typeof MissingHost>;

export const Declared = z.object({
  v: z.literal(1),
  fleet: FleetName,
  version: z.int().min(1).describe("Goes up by one with each."),
  hosts: z
    .record(HostName, DeclaredHost)
    .refine((hosts) => Object.keys(hosts).length <= DECLARED_LIMIT, `must be at most ${DECLARED_LIMIT} hosts`)
    .describe("By name."),
});
export type Declared = z.infer<typeof Declared>;

/** Opens a signed document as of the time at which it was signed. Errors: as `open`, INVALID. */
export function openDeclared(
  envelope: Envelope,
  verifier: Verifier,
): { readonly declared: Declared; readonly principal: Principal } {
  const { principal } = open(DECLARED_SUBJECT, envelope, verifier, "operator", { signs_release: true });
  return { declared: parseJson(Declared, envelope.body, "declared hosts"), principal };
}

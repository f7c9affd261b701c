/**
 * What the things of a fleet are called, checked wherever a name enters the system: hosts, groups, resources, nkeys.
 */
import { createHash } from "node:crypto";
import { z } from "zod";

/** A host's or group's name: one DNS label, lower case. Checked before anything is signed for it. */
export const HostName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be 1 to 63 of a-z, 0-9 and -, and not begin with -")
  .describe("Name of the host.");
export type HostName = z.infer<typeof HostName>;

/** Ansible group names may hold underscores and capitals. */
export const GroupName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$/, "must be a group name")
  .describe("Name of a group.");

export const FleetName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, "must be 1 to 31 of a-z, 0-9 and -")
  .describe("Name of the fleet.");

/** A person's or a program's name in a certificate. */
export const PersonName = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,62}$/, "must begin with a-z and hold a-z, 0-9, _ . -")
  .describe("Name of a person or program, as in its certificate.");

/** A host's id on the bus: its public user nkey (ADR-14 of NATS: prefix U, 56 characters of base32). */
export const HostId = z
  .string()
  .regex(/^U[A-Z2-7]{55}$/, "must be a public user nkey")
  .describe("The host on the bus: its public nkey.");
export type HostId = z.infer<typeof HostId>;

/**
 * What people compare of a machine, the same wherever it is shown: on the machine itself, in `ctl enrol`, and before `hosts.lock` keeps it.
 * SHA-256 over the id, in the form that ssh uses for keys.
 */
export function hostFingerprint(id: HostId): string {
  return `SHA256:${createHash("sha256").update(`muster machine 1\n${id}`).digest("base64").replace(/=+$/, "")}`;
}

/** `kind/name` of a resource; the name may hold slashes (`file//etc/motd`). */
export const ResourceRef = z
  .string()
  .max(512)
  .regex(/^[a-z]+\/[^\p{Cc}]+$/u, "must be kind/name")
  .describe("The resource, as kind/name.");
export type ResourceRef = z.infer<typeof ResourceRef>;

export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "must be 64 hexadecimal digits (SHA-256)")
  .describe("SHA-256 that names the content.");

/** Milliseconds since 1970 UTC. */
export const Instant = z.int().min(0).max(8_640_000_000_000_000).describe("Milliseconds since 1970 UTC.");

/** An id that this program made: 128 random bits as 32 hexadecimal digits. */
export const RandomId = z
  .string()
  .regex(/^[0-9a-f]{32}$/, "must be 32 hexadecimal digits")
  .describe("Id: 128 random bits.");

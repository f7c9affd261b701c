/**
 * What no resource may touch: the agent itself, its state, its units, and the directories on the way to them. Whoever can replace those can
 * make the agent do anything, so not even a signed manifest may (design §5, "on the node").
 */
import { FleetError } from "@muster/protocol/errors";
import type { Files } from "../ports/files.ts";

/** These and all below them. */
const OWN = [
  "/var/lib/muster-agent",
  "/run/muster-agent",
  "/var/run/muster-agent",
  "/etc/muster",
  "/usr/lib/muster-agent",
  "/lib/muster-agent",
  "/usr/bin/muster-agent",
  "/bin/muster-agent",
];

/** In these, every name that begins so; drop-ins for all services would reach the agent's unit too. */
const UNIT_DIRECTORIES = [
  "/etc/systemd/system",
  "/etc/systemd/system.control",
  "/run/systemd/system",
  "/run/systemd/system.control",
  "/run/systemd/transient",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const UNIT_NAME = /^(muster-agent|muster-undo|service\.d$|muster-\.service\.d$)/;

const PARENTS: ReadonlySet<string> = new Set(
  [...OWN, ...UNIT_DIRECTORIES.map((path) => `${path}/x`)].flatMap(above),
);

/** Why this path is the agent's own; null when it is not. Pure: links are the caller's to follow. */
export function protectedBy(path: string): string | null {
  for (const own of OWN) {
    if (path === own || path.startsWith(`${own}/`)) return `${own} belongs to the agent itself`;
  }
  for (const directory of UNIT_DIRECTORIES) {
    if (!path.startsWith(`${directory}/`)) continue;
    const parts = path.slice(directory.length + 1).split("/");
    const inside = /\.(wants|requires|upholds)$/.test(parts[0] ?? "") ? parts[1] : parts[0];
    if (inside !== undefined && UNIT_NAME.test(inside))
      return `${directory}/${inside} is a unit of the agent`;
  }
  return PARENTS.has(path) ? `${path} holds what belongs to the agent` : null;
}

/** Whether a unit is the agent's own: `muster-agent`, `muster-undo…`. */
export function protectedUnit(name: string): boolean {
  return /^muster-(agent|undo)/.test(name);
}

/** Errors: PROTECTED_PATH, also when a link in a parent directory leads there. */
export async function refuseProtected(path: string, files: Files): Promise<void> {
  const resolved = await files.resolve(path);
  const why = protectedBy(path) ?? protectedBy(resolved);
  if (why === null) return;
  throw new FleetError(
    "PROTECTED_PATH",
    `${path}${resolved === path ? "" : ` (in truth ${resolved})`}: ${why}`,
  );
}

function above(path: string): string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

/**
 * What no resource may touch: the agent itself, its state, its units, and the directories on the way to them. Whoever can replace those can
 * make the agent do anything, so not even a signed manifest may (design §5, "on the node").
 */
import { FleetError } from "@muster/protocol/errors";
import type { Files } from "../ports/files.ts";
import { CERTIFICATE_SNIPPET, REVOKED_LIST, REVOKED_SNIPPET } from "../sshd.ts";

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
].map((path) => ({ path, below: `${path}/` }));

/** What the agent itself writes among other people's files: who may replace it lets in whose key was revoked. */
const WRITTEN: ReadonlySet<string> = new Set([REVOKED_LIST, REVOKED_SNIPPET, CERTIFICATE_SNIPPET]);

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
].map((path) => ({ path, below: `${path}/` }));
const UNIT_NAME = /^(muster-agent|muster-undo|service\.d$|muster-\.service\.d$)/;

const PARENTS: ReadonlySet<string> = new Set(
  [...OWN.map(({ path }) => path), ...UNIT_DIRECTORIES.map(({ below }) => `${below}x`)].flatMap(above),
);

/** Why this path is the agent's own; null when it is not. Pure: links are the caller's to follow. */
export function protectedBy(path: string): string | null {
  for (const own of OWN) {
    if (path === own.path || path.startsWith(own.below)) return `${own.path} belongs to the agent itself`;
  }
  for (const directory of UNIT_DIRECTORIES) {
    if (!path.startsWith(directory.below)) continue;
    const parts = path.slice(directory.below.length).split("/");
    const inside = /\.(wants|requires|upholds)$/.test(parts[0] ?? "") ? parts[1] : parts[0];
    if (inside !== undefined && UNIT_NAME.test(inside))
      return `${directory.below}${inside} is a unit of the agent`;
  }
  return path === "/" || PARENTS.has(path) ? `${path} holds what belongs to the agent` : null;
}

/** Whether a unit is the agent's own: `muster-agent`, `muster-undo…`. */
export function protectedUnit(name: string): boolean {
  return /^muster-(agent|undo)/.test(name);
}

/**
 * By every path under which the host knows it: a link in a parent directory or a mount in another place may lead there. With `links` the last part is followed too, for
 * what others follow, such as Docker a mount's source. Errors: PROTECTED_PATH.
 */
export async function refuseProtected(path: string, files: Files, links?: "follow"): Promise<void> {
  const places = await files.places(path, links);
  refuseOwn(places, path);
  const written = places.find((place) => WRITTEN.has(place));
  if (written !== undefined) throw new FleetError("PROTECTED_PATH", `the agent itself writes ${written}`);
}

/** As `refuseProtected`, for paths that are known; the first is the true one. Errors: PROTECTED_PATH. */
export function refuseOwn(paths: readonly string[], told = paths[0] ?? ""): void {
  for (const path of paths) {
    const why = protectedBy(path);
    if (why === null) continue;
    throw new FleetError("PROTECTED_PATH", `${told}${path === told ? "" : ` (in truth ${path})`}: ${why}`);
  }
}

function above(path: string): string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

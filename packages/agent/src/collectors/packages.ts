/**
 * Packages: whether dpkg's status or apt's lists have changed is looked at every five minutes (two `lstat`), and only then, or once a day, apt is asked what it would
 * renew: half a second of the processor, at the lowest priority. Declared packages by dpkg's status file, which the resources of that kind have read anyway.
 */
import type { Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { gravest } from "@muster/protocol/telemetry/fault";
import { type DeclaredPackage, LISTS_OLD_MS, type PackagesSample } from "@muster/protocol/telemetry/packages";
import type { Ports } from "../ports/index.ts";
import { APT_LISTS, DPKG_STATUS } from "../ports/packages.ts";
import type { PendingAnswer } from "../ports/packages-pending.ts";
import { packageEvents, packageFault } from "./package-judge.ts";
import type { Steady } from "./steady.ts";

const LOOK_MS = 300_000;
const FIRST_MS = 45_000;
const ASK_PERIOD_MS = 86_400_000;
/** A run of apt changes the status many times: it is asked once that is over. */
const ASK_APART_MS = 600_000;
const UPDATES = 200;
const DECLARED = 1_000;
/** Each is touched by another way of fetching the lists; the newest tells. */
const FETCHED = [APT_LISTS, `${APT_LISTS}/partial`, "/var/lib/apt/periodic/update-success-stamp"];

export function createPackagesCollector(
  { files, packages, now }: Pick<Ports, "files" | "packages" | "now">,
  declared: () => readonly Resource[],
): Steady<"packages"> {
  let asked: { at: number; key: string; answer: PendingAnswer } | null = null;

  const changedMs = async (path: string) => (await files.facts(path))?.changed_ms ?? null;

  const refreshedAt = async (): Promise<number | null> => {
    const lists = await files.list(APT_LISTS);
    // Without an index apt knows of nothing newer, and would say that nothing is pending.
    if (!lists.some((name) => /_Packages(\.|$)/.test(name))) return null;
    const times = (await Promise.all(FETCHED.map(changedMs))).flatMap((at) => at ?? []);
    return times.length === 0 ? null : Math.trunc(Math.max(...times));
  };

  const answer = async (key: string, signal: AbortSignal): Promise<PendingAnswer> => {
    const at = now();
    if (asked !== null && at >= asked.at) {
      const age_ms = at - asked.at;
      if (age_ms < ASK_APART_MS || (asked.key === key && age_ms < ASK_PERIOD_MS)) return asked.answer;
    }
    try {
      asked = { at, key, answer: await packages.pending(signal) };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      asked = { at, key, answer: { error: error.message, updates: [] } };
    }
    return asked.answer;
  };

  return {
    kind: "packages",
    look_ms: LOOK_MS,
    first_ms: FIRST_MS,
    async look(signal): Promise<PackagesSample> {
      const at = now();
      const wanted = declared()
        .flatMap((resource) => (resource.kind === "package" ? [resource] : []))
        .slice(0, DECLARED);
      const nothing = { at, asked_at: null, refreshed_at: null, pending: null, security: null, updates: [] };
      if (!(await packages.available()))
        return {
          ...nothing,
          present: wanted.length > 0,
          error: "there is no dpkg here",
          declared: [],
          faults: [],
        };
      const [refreshed_at, status_ms, facts] = await Promise.all([
        refreshedAt(),
        changedMs(DPKG_STATUS),
        packages.facts(wanted.map(({ name }) => name)),
      ]);
      const rows = wanted.map(({ name, spec }): DeclaredPackage => {
        const { version = null, broken = null } = facts.get(name) ?? {};
        const ok =
          broken === null &&
          (spec.state === "absent"
            ? version === null
            : version !== null && (spec.version ?? version) === version);
        const asked_for = spec.state === "absent" ? "absent" : (spec.version ?? "installed");
        return { name, ref: `package/${name}`, wanted: asked_for, version, broken, ok };
      });
      const faults = gravest(rows.flatMap((row) => packageFault(row) ?? []));
      const told = { ...nothing, present: true, declared: rows, faults, refreshed_at };
      if (refreshed_at === null) return { ...told, error: "apt has no lists: apt-get update was never run" };
      const { error, updates } = await answer(`${status_ms} ${refreshed_at}`, signal);
      const old = at - refreshed_at > LISTS_OLD_MS;
      const known = error === null && !old;
      const security = updates.filter((each) => each.security);
      return {
        ...told,
        asked_at: asked?.at ?? null,
        error: error ?? (old ? "apt's lists are too old to tell: apt-get update" : null),
        pending: known ? updates.length : null,
        security: known ? security.length : null,
        updates: [...security, ...updates.filter((each) => !each.security)].slice(0, UPDATES),
      };
    },
    shape: ({ error, pending, security, declared: rows }) => [error, pending, security, rows],
    events: packageEvents,
  };
}

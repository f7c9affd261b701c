/** Selectors → host names: `ixp1`, a group, `'ixp*'`, `site=ams`, comma = or, `--not SELECTOR`, `all`. Pure. */
import { FleetError } from "@muster/protocol/errors";
import { suggest } from "./problem.ts";

/** What selectors choose from. */
export interface Selectable {
  readonly name: string;
  /** All groups it is in, `all` left out. */
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface Selection {
  /** Names of hosts, in the order of hosts.yml. */
  readonly hosts: string[];
  /** What is wrong with the selector, in words; then `hosts` is empty. */
  readonly fault: string | null;
}

function glob(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}

function one(term: string, hosts: readonly Selectable[], groups: readonly string[]): Selectable[] | string {
  if (term === "all") return [...hosts];
  const equals = term.indexOf("=");
  if (equals > 0) {
    const [label, value] = [term.slice(0, equals), term.slice(equals + 1)];
    const found = hosts.filter((host) => host.labels[label] === value);
    if (found.length > 0) return found;
    const labels = [...new Set(hosts.flatMap((host) => Object.keys(host.labels)))];
    if (!labels.includes(label))
      return `no label \`${label}\`${suggest(label, labels) || `; labels: ${labels.join(", ") || "none (see muster.yml)"}`}`;
    const values = [...new Set(hosts.flatMap((host) => host.labels[label] ?? []))];
    return `no host has ${label}=${value}${suggest(value, values) || `; values: ${values.join(", ")}`}`;
  }
  if (/[*?]/.test(term)) {
    const pattern = glob(term);
    const found = hosts.filter((host) => pattern.test(host.name));
    return found.length > 0 ? found : `no host matches \`${term}\``;
  }
  const host = hosts.find((each) => each.name === term);
  if (host !== undefined) return [host];
  if (groups.includes(term)) return hosts.filter((each) => each.groups.includes(term));
  return `no host or group \`${term}\`${suggest(term, [...hosts.map((each) => each.name), ...groups, "all"])}`;
}

function terms(selector: string): string[] {
  return selector
    .split(",")
    .map((term) => term.trim())
    .filter((term) => term !== "");
}

/**
 * The hosts that `selector` names, without those that `not` names. A group without hosts gives no hosts and no fault.
 *
 * @param groups all groups of the inventory, since a group may have no hosts
 */
export function select(
  hosts: readonly Selectable[],
  groups: readonly string[],
  selector: string,
  not: readonly string[] = [],
): Selection {
  const chosen = new Set<string>();
  const wanted = terms(selector);
  if (wanted.length === 0) return { hosts: [], fault: "the selector is empty; `all` means every host" };
  for (const [list, keep] of [
    [wanted, true],
    [not.flatMap(terms), false],
  ] as const)
    for (const term of list) {
      const found = one(term, hosts, groups);
      if (typeof found === "string") return { hosts: [], fault: found };
      for (const host of found) {
        if (keep) chosen.add(host.name);
        else chosen.delete(host.name);
      }
    }
  return { hosts: hosts.map((host) => host.name).filter((name) => chosen.has(name)), fault: null };
}

/**
 * As `select`, for commands.
 *
 * @throws FleetError USAGE with a suggestion, for a name that is not there
 */
export function selectHosts(
  hosts: readonly Selectable[],
  groups: readonly string[],
  selector: string,
  not: readonly string[] = [],
): string[] {
  const { hosts: names, fault } = select(hosts, groups, selector, not);
  if (fault !== null) throw new FleetError("USAGE", fault);
  return names;
}

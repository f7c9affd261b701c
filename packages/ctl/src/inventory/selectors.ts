/**
 * Selectors → host names. One grammar wherever hosts are chosen:
 *
 *   ixp1  ixp  'ixp*'  all                  a host, a group, a pattern of host names, every host
 *   site=ams  site!=ams  exchange='*'       a label; the value may be a pattern
 *   fact.os='Debian 12*'  fact.bird<2.16    a fact; < <= > >= compare versions and numbers piece by piece
 *   health.cpu_busy>80%  bgp.sessions(name=up* and state!=established)    last values, for `ctl query` alone
 *   health.memory.available_bytes/health.memory.total_bytes<5%    rate(health.interfaces.rx_errors, 5m)>1, also increase, min, mean, max: of what is kept over time
 *   a, b   a or b   a and b   not a   ( )   `not` binds closest, then `and`; comma and `or` are the same
 *
 * What is not known of a host (a fact that it did not tell) makes it neither fit nor not fit: it is named in `unknown`. Pure.
 */
import { FleetError } from "@muster/protocol/errors";
import { compare, isPattern, like } from "@muster/protocol/expression/compare";
import { checkValues } from "@muster/protocol/expression/faults";
import {
  FACT,
  isOfValues,
  judged,
  leaves,
  type Node,
  type Pair,
  parseSelector,
  SelectorFault,
  type Word,
} from "@muster/protocol/expression/parser";
import type { Shapes } from "@muster/protocol/expression/shape";
import { fitsValues, type Values } from "@muster/protocol/expression/values";
import type { Past } from "@muster/protocol/expression/window";
import { suggest } from "./problem.ts";

/** What selectors choose from. */
export interface Selectable {
  readonly name: string;
  /** All groups it is in, `all` left out. */
  readonly groups: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Every value of each fact, none for one that the host does not have; left out where they are not known. */
  readonly facts?: Facts;
  /** Its last samples; left out where nobody asks for them. */
  readonly values?: Values;
  /** What of it was kept; left out where nobody asks for it. */
  readonly past?: Past | undefined;
}
export type Facts = Readonly<Record<string, readonly string[]>>;

export interface Selection {
  /** Names of hosts, in the order of hosts.yml. */
  readonly hosts: string[];
  /** Hosts of which it cannot be said, since their facts are not known. */
  readonly unknown: string[];
  /** What is wrong with the selector, in words; then `hosts` is empty. */
  readonly fault: string | null;
}

/** Facts by their names, as `fact.NAME`. */
export const FACT_NAMES = [
  "os",
  "kernel",
  "arch",
  "virtual",
  "cpu",
  "cores",
  "memory_bytes",
  "bird",
  "agent_version",
  "hostname",
  "address",
] as const;

/**
 * The hosts that `selector` names, without those that one of `not` names. A group without hosts gives no hosts and no fault.
 *
 * @param groups all groups of the inventory, since a group may have no hosts
 */
export function select(
  hosts: readonly Selectable[],
  groups: readonly string[],
  selector: string,
  not: readonly string[] = [],
  shapes: Shapes = {},
): Selection {
  try {
    const wanted = parseSelector(selector);
    const unwanted = not.map(parseSelector);
    for (const node of [wanted, ...unwanted]) check(node, hosts, groups, shapes);
    const whole: Node = { t: "and", of: [wanted, ...unwanted.map((of): Node => ({ t: "not", of }))] };
    const judged = hosts.map((host) => [host.name, fits(whole, host)] as const);
    return {
      hosts: judged.filter(([, fit]) => fit === true).map(([name]) => name),
      unknown: judged.filter(([, fit]) => fit === undefined).map(([name]) => name),
      fault: null,
    };
  } catch (error) {
    if (!(error instanceof SelectorFault)) throw error;
    return { hosts: [], unknown: [], fault: error.message };
  }
}

/**
 * As `select`, for commands that know all there is to know.
 *
 * @throws FleetError USAGE with a suggestion, for a name that is not there
 */
export function selectHosts(
  hosts: readonly Selectable[],
  groups: readonly string[],
  selector: string,
  not: readonly string[] = [],
): string[] {
  const { hosts: names, unknown, fault } = select(hosts, groups, selector, not);
  if (fault !== null) throw new FleetError("USAGE", fault);
  if (unknown.length > 0)
    throw new FleetError(
      "USAGE",
      "this command asks no host, so it cannot choose by facts; name hosts, groups or labels",
    );
  return names;
}

/** What has to be known before a selector can be judged, and the names that it holds. Of one with a mistake: nothing. */
export function needsOf(selectors: readonly string[]): {
  readonly labels: boolean;
  readonly facts: readonly string[];
  readonly names: readonly string[];
  /** Kinds of telemetry. */
  readonly values: readonly string[];
} {
  const found = selectors.flatMap((selector) => {
    try {
      return leaves(parseSelector(selector));
    } catch (error) {
      if (error instanceof SelectorFault) return [];
      throw error;
    }
  });
  const pairs = found.filter((leaf) => leaf.t === "pair");
  const facts = pairs.filter(({ key }) => key.startsWith(FACT)).map(({ key }) => key.slice(FACT.length));
  const values = found.filter(isOfValues).map(({ key }) => key.slice(0, key.indexOf(".")));
  return {
    labels: pairs.some((pair) => !pair.key.startsWith(FACT) && !isOfValues(pair)),
    facts,
    names: found.filter((leaf) => leaf.t === "word").map(({ word }) => word),
    values: [...new Set(values)],
  };
}

/** Whether a host fits; undefined = its facts would have to be known. */
function fits(node: Node, host: Selectable): boolean | undefined {
  return judged(node, (leaf) => {
    const of_values: boolean = isOfValues(leaf);
    if (leaf.t !== "word" && of_values)
      return fitsValues(leaf, { values: host.values ?? {}, past: host.past });
    if (leaf.t === "some") return false;
    if (leaf.t === "pair") return fitsPair(leaf, host);
    if (leaf.word === "all" && !leaf.quoted) return true;
    return isPattern(leaf.word)
      ? like(host.name, leaf.word)
      : host.name === leaf.word || host.groups.includes(leaf.word);
  });
}

function fitsPair({ key, operator, value }: Pair, host: Selectable): boolean | undefined {
  if (!key.startsWith(FACT)) {
    const label = host.labels[key];
    return (label !== undefined && like(label, value)) === (operator === "=");
  }
  const values = host.facts?.[key.slice(FACT.length)];
  if (values === undefined) return undefined;
  if (operator === "=") return values.some((each) => like(each, value));
  if (operator === "!=") return !values.some((each) => like(each, value));
  return values.some((each) => {
    const order = compare(each, value);
    return order === 0 ? operator.includes("=") : order < 0 === operator.startsWith("<");
  });
}

/** Throws where a word, label, value or fact is one that nobody has: that is a slip of the hand far more often than a wish. */
function check(node: Node, hosts: readonly Selectable[], groups: readonly string[], shapes: Shapes): void {
  const all = leaves(node);
  for (const leaf of all) {
    if (leaf.t === "some" && (!leaf.key.includes(".") || leaf.key.startsWith(FACT)))
      throw new SelectorFault("expected `and`, `or` or a comma, found `(`", leaf.at + leaf.key.length);
    if (isOfValues(leaf)) {
      checkValues(leaf, shapes);
      continue;
    }
    const fault = leaf.t === "word" ? wordFault(leaf, hosts, groups) : pairFault(leaf, hosts);
    if (fault !== null) throw new SelectorFault(fault, all.length === 1 ? null : leaf.at);
  }
}

function wordFault(
  { word, quoted }: Word,
  hosts: readonly Selectable[],
  groups: readonly string[],
): string | null {
  if (word === "all" && !quoted) return null;
  if (isPattern(word))
    return hosts.some(({ name }) => like(name, word)) ? null : `no host matches \`${word}\``;
  if (groups.includes(word) || hosts.some(({ name }) => name === word)) return null;
  return `no host or group \`${word}\`${suggest(word, [...hosts.map((each) => each.name), ...groups, "all"])}`;
}

function pairFault({ key, operator, value }: Pair, hosts: readonly Selectable[]): string | null {
  if (key.startsWith(FACT)) {
    const name = key.slice(FACT.length);
    if ((FACT_NAMES as readonly string[]).includes(name)) return null;
    return `no fact \`${name}\`${suggest(name, FACT_NAMES) || `; facts: ${FACT_NAMES.join(", ")}`}`;
  }
  if (operator !== "=" && operator !== "!=")
    return `labels are text: \`${key}\` takes = and !=; \`${operator}\` is for facts, such as fact.${key}${operator}${value}`;
  const values = [...new Set(hosts.flatMap((host) => host.labels[key] ?? []))];
  if (values.some((each) => like(each, value))) return null;
  if (values.length > 0)
    return `no host has ${key}=${value}${suggest(value, values) || `; values: ${values.join(", ")}`}`;
  const labels = [...new Set(hosts.flatMap((host) => Object.keys(host.labels)))];
  if ((FACT_NAMES as readonly string[]).includes(key))
    return `no label \`${key}\`; a fact is written fact.${key}${operator}${value}`;
  return `no label \`${key}\`${suggest(key, labels) || `; labels: ${labels.join(", ") || "none (see muster.yml)"}`}`;
}

/**
 * Facts for selectors. They are asked of the hosts themselves, in one scatter and only when a selector names one: what was true at enrolment or a week
 * ago would choose the wrong hosts. A host that does not tell is neither in nor out; it is named.
 */
import { callMany } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { Shapes } from "@muster/protocol/expression/shape";
import type { Facts as Told } from "@muster/protocol/rpc/index";
import { type Facts, needsOf, type Selectable, select } from "../inventory/selectors.ts";
import { listText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import type { Connection } from "../session/session.ts";

export type Picked = {
  readonly names: readonly string[];
  /** Hosts whose facts would have decided and are not known. */
  readonly unknown: readonly string[];
};

/** What a selector chooses from, and the way to ask it for facts; both fetched only when they are needed. */
export type Choice = {
  readonly hosts: readonly Selectable[];
  readonly groups: readonly string[];
  connection(): Promise<Connection>;
  /** Ids of the enrolled ones, by name. */
  ids(): Promise<ReadonlyMap<string, string>>;
  /** What may be asked of last values, where hosts come with theirs. */
  readonly shapes?: Shapes;
};

/** The hosts that a selector and `--not` name. Errors: USAGE for a mistake or an unknown name; those of the bus. */
export async function pick(context: Context, choice: Choice, selector: string): Promise<Picked> {
  const not = context.global.not === undefined ? [] : [context.global.not];
  const { facts } = needsOf([selector, ...not]);
  const hosts = facts.length === 0 ? choice.hosts : await withFacts(context, choice, facts);
  const found = select(hosts, choice.groups, selector, not, choice.shapes);
  if (found.fault !== null) throw new FleetError("USAGE", found.fault);
  if (facts.length > 0 && found.hosts.length + found.unknown.length === 0)
    context.output.note(`no host fits ${selector}`);
  return { names: found.hosts, unknown: found.unknown };
}

/** Says whose facts are not known, where the command has no line of its own for silent hosts. */
export function tellUnknown(context: Context, { unknown }: Picked): void {
  if (unknown.length === 0) return;
  const { colour, note } = context.output;
  note(colour.amber(`not chosen, since they do not tell their facts: ${listText(unknown)}      ctl status`));
}

async function withFacts(
  context: Context,
  choice: Choice,
  facts: readonly string[],
): Promise<readonly Selectable[]> {
  const [connection, ids] = await Promise.all([choice.connection(), choice.ids()]);
  const { answered } = await callMany(
    connection,
    [...ids.values()],
    "facts",
    { brief: !facts.includes("virtual") },
    { signal: context.signal, filter: {} },
  );
  return choice.hosts.map((host) => {
    const told = answered.get(ids.get(host.name) ?? "");
    return told === undefined ? host : { ...host, facts: factsOf(told) };
  });
}

/** `Debian GNU/Linux 12 (bookworm)` is also `Debian 12`. */
function factsOf(told: Told): Facts {
  const one = (value: string | number | null): string[] => (value === null ? [] : [String(value)]);
  return {
    os: [told.os, told.os.replace(" GNU/Linux", "").replace(/ \(.*\)$/, "")],
    kernel: one(told.kernel),
    arch: one(told.arch),
    virtual: one(told.virtual),
    cpu: one(told.cpu),
    cores: one(told.cores),
    memory_bytes: one(told.memory_bytes),
    bird: one(told.bird),
    agent_version: one(told.agent_version),
    hostname: one(told.hostname),
    address: told.addresses.map(({ address }) => address),
  };
}

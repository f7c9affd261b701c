/**
 * The on-node policy as a file: who is limited to what, and what a controller alone may order. Stricter than what hosts take, which must read the
 * words of a newer release: here a kind or a method that nobody knows is a mistake of typing.
 */
import { FleetError } from "@muster/protocol/errors";
import { GroupName, PersonName } from "@muster/protocol/names";
import { KIND_NAMES } from "@muster/protocol/resources/index";
import { RPC } from "@muster/protocol/rpc/index";
import { LIMITED_RANKS, type Limits, NodePolicy } from "@muster/protocol/trust";
import { z } from "zod";
import { type Place, Problems, problemText, suggest } from "../inventory/problem.ts";
import { checkFields } from "../inventory/spec.ts";
import { readYaml, type YamlNode, yamlText } from "../inventory/yaml.ts";
import { listText } from "../output/words.ts";

/** What a person may be limited to: methods that ask for more than a viewer, signing what hosts are to be, and silencing alerts, which controllers judge. */
export const VERBS: readonly string[] = [
  "apply",
  "silence",
  ...Object.entries(RPC).flatMap(([name, { authority }]) =>
    authority === "operator" || authority === "admin" ? [name] : [],
  ),
].sort();

const oneOf = (known: readonly string[], what: string) =>
  z.string().superRefine((word, context) => {
    if (!known.includes(word))
      context.addIssue(`no such ${what}${suggest(word, known)}; there are ${known.join(", ")}`);
  });

const LimitsInFile = z.strictObject({
  groups: z.array(GroupName).max(256).optional(),
  kinds: z.array(oneOf(KIND_NAMES, "kind")).max(256).optional(),
  verbs: z.array(oneOf(VERBS, "method")).max(256).optional(),
});
const PolicyFile = z.strictObject({
  controller_may: NodePolicy.shape.controller_may,
  operators: z.record(PersonName, LimitsInFile).default({}),
  ranks: z.partialRecord(z.enum(LIMITED_RANKS), LimitsInFile).optional(),
});

/** Reads a policy; all mistakes at once, each with its place. Errors: USAGE. */
export function readPolicy(file: string, text: string): NodePolicy {
  const problems = new Problems();
  const start: Place = { file, line: 1, column: 1 };
  const tree = readYaml(file, text, "strict", problems);
  if (tree === null || tree.t !== "map") {
    if (problems.size === 0) problems.add(start, "a policy is a map: controller_may, operators, ranks");
  } else {
    const value = plain(tree) as Record<string, unknown>;
    const { spec, faults } = checkFields(PolicyFile, "the policy", value, tree, start, [], new Set());
    if (spec !== null && problems.size === 0) return NodePolicy.parse(spec);
    for (const { at, message, hint } of faults) problems.add(at, message, hint);
  }
  throw new FleetError("USAGE", problems.list().map(problemText).join("\n"));
}

function plain(node: YamlNode): unknown {
  if (node.t === "scalar") return node.value;
  if (node.t === "list") return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
}

/** The file that `readPolicy` reads. */
export const policyText = (policy: NodePolicy): string => yamlText(policy);

/** What changes from one to the other, a line each: `+ bob  …`, `- bob`, `~ bob  …`. */
export function policyChanges(before: NodePolicy, after: NodePolicy): string[] {
  const may = ({ controller_may }: NodePolicy) => listText([...controller_may].sort(), 99) || "nothing";
  const limited = ({ operators, ranks = {} }: NodePolicy): Readonly<Record<string, Limits>> => ({
    ...operators,
    ...Object.fromEntries(Object.entries(ranks).map(([rank, limits]) => [`rank ${rank}`, limits])),
  });
  const [first, then] = [limited(before), limited(after)];
  return [
    ...(may(before) === may(after) ? [] : [`~ controller alone  ${may(after)}      was ${may(before)}`]),
    ...[...new Set([...Object.keys(first), ...Object.keys(then)])].sort().flatMap((name) => {
      const [was, is] = [limitsText(first[name]), limitsText(then[name])];
      if (was === is) return [];
      if (is === null) return [`- ${name}  not limited any more`];
      return [was === null ? `+ ${name}  ${is}` : `~ ${name}  ${is}      was ${was}`];
    }),
  ];
}

function limitsText(limits: Limits | undefined): string | null {
  if (limits === undefined) return null;
  const { groups, kinds, verbs } = limits;
  const part = (words: readonly string[] | undefined, what: string, none: string) =>
    words === undefined ? [] : [words.length === 0 ? none : `${what} ${listText([...words].sort(), 99)}`];
  const parts = [
    ...part(groups, "only hosts of", "no host at all"),
    ...part(kinds, "changes only", "changes nothing"),
    ...part(verbs, "beyond reading only", "only reading"),
  ];
  return parts.length === 0 ? null : parts.join("; ");
}

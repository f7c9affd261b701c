/** muster.yml: the fleet's name, which variables are labels to select by, and how rollouts go. Strict. */
import { FleetName } from "@muster/protocol/names";
import { MusterFile } from "./forms.ts";
import { type Place, type Problems, suggest } from "./problem.ts";
import { type Entry, nodeText, type YamlNode } from "./yaml.ts";

export interface Named {
  readonly name: string;
  readonly at: Place;
}

export interface Settings {
  readonly fleet: string;
  readonly labels: readonly Named[];
  /** Selectors, first wave first. */
  readonly waves: readonly Named[];
  /** Labels: hosts with the same value are never changed at the same time. */
  readonly never_together: readonly Named[];
}

const LABEL = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;

/** Reads the tree of muster.yml. What is wrong is added to `problems`; the settings are then not to be used. */
export function readSettings(tree: YamlNode | null, problems: Problems): Settings {
  const start: Place = { file: "muster.yml", line: 1, column: 1 };
  const top = mapOf(tree, start, Object.keys(MusterFile.shape), "muster.yml", problems);
  const fleet = top.get("fleet");
  const node = fleet?.value;
  const name = node?.t === "scalar" && typeof node.value === "string" ? node.value : "";
  if (node === undefined) problems.add(start, "`fleet` is missing", "fleet: as64500");
  else if (!FleetName.safeParse(name).success)
    problems.add(
      node.at,
      `\`fleet\` is ${nodeText(node)}`,
      "a name of a-z, 0-9 and -, at most 31, such as as64500",
    );
  const labels = list(top.get("labels"), "labels", problems);
  for (const label of labels)
    if (!LABEL.test(label.name)) problems.add(label.at, `\`${label.name}\` is not the name of a variable`);
  const rollout = top.get("rollout");
  const inner =
    rollout === undefined
      ? new Map<string, Entry>()
      : mapOf(
          rollout.value,
          rollout.at,
          Object.keys(MusterFile.shape.rollout.unwrap().shape),
          "`rollout`",
          problems,
        );
  const never_together = list(inner.get("never_together"), "never_together", problems);
  const known = labels.map((label) => label.name);
  for (const label of never_together)
    if (!known.includes(label.name))
      problems.add(label.at, `\`${label.name}\` is not one of \`labels\`${suggest(label.name, known)}`);
  return { fleet: name, labels, waves: list(inner.get("waves"), "waves", problems), never_together };
}

function mapOf(
  node: YamlNode | null,
  at: Place,
  keys: readonly string[],
  what: string,
  problems: Problems,
): ReadonlyMap<string, Entry> {
  if (node === null || node.t !== "map") {
    const found = node === null ? "nothing" : nodeText(node);
    problems.add(node?.at ?? at, `${what} must be a map, found ${found}`);
    return new Map();
  }
  for (const [key, entry] of node.entries)
    if (!keys.includes(key))
      problems.add(
        entry.at,
        `unknown key \`${key}\` in ${what}${suggest(key, keys)}`,
        `known: ${keys.join(", ")}`,
      );
  return node.entries;
}

function list(entry: Entry | undefined, what: string, problems: Problems): Named[] {
  if (entry === undefined) return [];
  if (entry.value.t !== "list") {
    problems.add(
      entry.value.at,
      `\`${what}\` must be a list, found ${nodeText(entry.value)}`,
      `${what}: [a, b]`,
    );
    return [];
  }
  const names: Named[] = [];
  for (const item of entry.value.items) {
    if (item.t === "scalar" && typeof item.value === "string") names.push({ name: item.value, at: item.at });
    else problems.add(item.at, `\`${what}\` holds names, found ${nodeText(item)}`);
  }
  return names;
}

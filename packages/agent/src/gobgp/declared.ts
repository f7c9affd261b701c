/** The sessions that a gobgpd.conf (TOML, as Debian's service reads it) declares. GoBGP reads its names without regard to case. */
import { FleetError } from "@muster/protocol/errors";
import { parse, TomlError } from "smol-toml";
import type { DeclaredBird, DeclaredSession } from "../bird/declared.ts";

type Table = Readonly<Record<string, unknown>>;

/** Dynamic neighbours are no sessions before they come. @throws CONFIG for a file that is no TOML: GoBGP itself refuses it, or reads another form */
export function gobgpDeclared(text: string): Pick<DeclaredBird, "sessions" | "originated"> {
  const file = tableOf(text);
  const own_as = numberIn(within(file, "global"), "as");
  const groups = new Map(
    tablesIn(file, "peer-groups").map((group) => [textIn(within(group), "peer-group-name"), within(group)]),
  );
  const sessions = tablesIn(file, "neighbors").map((neighbor): DeclaredSession => {
    const own = within(neighbor);
    const group = groups.get(textIn(own, "peer-group")) ?? {};
    const name = textIn(own, "neighbor-interface") || textIn(own, "neighbor-address");
    const as = numberIn(own, "peer-as") ?? numberIn(group, "peer-as");
    const local_as = numberIn(own, "local-as") ?? numberIn(group, "local-as") ?? own_as;
    return {
      name,
      neighbor: name,
      as,
      dynamic: false,
      dynamic_name: null,
      disabled: valueIn(own, "admin-down") === true,
      external: as === null || as !== local_as,
      statements: [{ head: [{ kind: "word", text: `neighbor ${name}` }], body: null }],
    };
  });
  // What it originates comes over its API and stands in no file.
  return { sessions: sessions.filter(({ name }) => name !== ""), originated: [] };
}

function tableOf(text: string): Table {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // The lines around it, which the rest of the message quotes, may hold a password.
    const [why = ""] = cause.message.split("\n");
    throw new FleetError("CONFIG", `line ${cause.line}, column ${cause.column}: ${why}`);
  }
}

const valueIn = (table: Table, name: string): unknown =>
  Object.entries(table).find(([key]) => key.toLowerCase() === name)?.[1];

/** The table `config` of one, where what is configured stands; of the file that of a table by its name. */
function within(table: Table, name?: string): Table {
  const of = name === undefined ? table : asTable(valueIn(table, name));
  return asTable(valueIn(of, "config"));
}

const asTable = (value: unknown): Table =>
  typeof value === "object" && value !== null ? (value as Table) : {};

const tablesIn = (table: Table, name: string): Table[] => {
  const found = valueIn(table, name);
  if (found !== undefined && !Array.isArray(found))
    throw new FleetError("CONFIG", `\`${name}\` should be a list, as [[${name}]] makes one`);
  return (found ?? []).map(asTable);
};

const textIn = (table: Table, name: string): string => {
  const value = valueIn(table, name);
  return typeof value === "string" ? value : "";
};

function numberIn(table: Table, name: string): number | null {
  const value = valueIn(table, name);
  return typeof value === "number" && value > 0 ? value : null;
}

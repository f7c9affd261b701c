/**
 * Reads the channel blocks of `show protocols all`: from "Channel X" on in BIRD 2 and 3; BIRD 1.6 has no such line and
 * prints the same keys in the protocol's own block. Indentation differs between the two, so keys decide, not columns.
 */
import type { BgpChannel, BgpCounters, BgpLimit } from "@muster/protocol/telemetry/bgp";

type Counters = NonNullable<BgpChannel["counters"]>;

const COLUMN_NAMES: Readonly<Record<string, keyof BgpCounters>> = {
  received: "received",
  rejected: "rejected",
  filtered: "filtered",
  ignored: "ignored",
  "RX limit": "rx_limit",
  "IN limit": "limit",
  limit: "limit",
  accepted: "accepted",
};

/** A channel being read, line by line. `columns` remembers the header of the counter table; a name that we do not know is null. */
export type ChannelReader = { readonly channel: BgpChannel; columns: readonly (keyof BgpCounters | null)[] };

export function channelReader(family: string, state: string): ChannelReader {
  return {
    columns: [],
    channel: {
      family,
      state,
      import_state: null,
      export_state: null,
      preference: null,
      table: null,
      import_filter: null,
      export_filter: null,
      imported: null,
      filtered: null,
      exported: null,
      preferred: null,
      limits: [],
      next_hop: null,
      pending: null,
      counters: null,
    },
  };
}

/** True for the keys by which a 1.6 block shows that it speaks of routes. */
export function isChannelKey(key: string): boolean {
  return key === "Input filter" || key === "Output filter" || key === "Preference" || key === "Routes";
}

/** Takes one `key: value` line into the channel; keys that it does not know are left alone. */
export function readChannelLine(reader: ChannelReader, key: string, value: string): void {
  CHANNEL_KEYS.get(key)?.(reader, value);
}

/** `Pending 3 attribute sets with total 40 prefixes to send`: the one line of a channel that has no colon. */
export function readPending({ channel }: ChannelReader, text: string): void {
  const [first, , , , , , count] = text.split(" ");
  if (first === "Pending" && count !== undefined) channel.pending = numberOf(count);
}

type Read = (reader: ChannelReader, value: string) => void;

const CHANNEL_KEYS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["State", ({ channel }, value) => assign(channel, "state", value.toLowerCase())],
  ["Import state", ({ channel }, value) => assign(channel, "import_state", value.toLowerCase())],
  ["Export state", ({ channel }, value) => assign(channel, "export_state", value.toLowerCase())],
  ["Preference", ({ channel }, value) => assign(channel, "preference", numberOf(value))],
  ["Table", ({ channel }, value) => assign(channel, "table", value)],
  ["Input filter", ({ channel }, value) => assign(channel, "import_filter", value)],
  ["Output filter", ({ channel }, value) => assign(channel, "export_filter", value)],
  ["BGP Next hop", ({ channel }, value) => assign(channel, "next_hop", value)],
  ["Receive limit", ({ channel }, value) => readLimit(channel, "receive", value)],
  ["Import limit", ({ channel }, value) => readLimit(channel, "import", value)],
  ["Export limit", ({ channel }, value) => readLimit(channel, "export", value)],
  [
    "Action",
    ({ channel }, value) => {
      const limit = channel.limits.at(-1);
      if (limit !== undefined) limit.action = value;
    },
  ],
  ["Routes", ({ channel }, value) => readRoutes(channel, value)],
  ["Import updates", (reader, value) => readRow(reader, "import_updates", value)],
  ["Import withdraws", (reader, value) => readRow(reader, "import_withdraws", value)],
  ["Export updates", (reader, value) => readRow(reader, "export_updates", value)],
  ["Export withdraws", (reader, value) => readRow(reader, "export_withdraws", value)],
  [
    "Route change stats",
    (reader, value) => {
      reader.columns = columnsOf(value);
    },
  ],
]);

function assign<K extends keyof BgpChannel>(channel: BgpChannel, field: K, value: BgpChannel[K]): void {
  channel[field] = value;
}

/** `100` or `100 [HIT]`. */
function readLimit(channel: BgpChannel, direction: BgpLimit["direction"], value: string): void {
  const limit = Number.parseInt(value, 10);
  if (Number.isNaN(limit)) return;
  channel.limits.push({ direction, limit, action: null, hit: value.includes("[HIT]") });
}

const COUNTS = ["imported", "filtered", "exported", "preferred"] as const;

/** `2 imported, 1 filtered, 1 exported, 2 preferred`; what is not said stays null. */
function readRoutes(channel: BgpChannel, value: string): void {
  for (const what of COUNTS) {
    const at = value.indexOf(what);
    if (at > 0) channel[what] = numberBefore(value, at - 1, 0);
  }
}

let last_header: { readonly value: string; readonly columns: ChannelReader["columns"] } | null = null;

/** Names of the columns, some of two words. The same header stands in every channel. */
function columnsOf(value: string): ChannelReader["columns"] {
  if (last_header?.value !== value) {
    const names = value.match(/(?:RX|IN) limit|\S+/g) ?? [];
    last_header = { value, columns: names.map((name) => COLUMN_NAMES[name] ?? null) };
  }
  return last_header.columns;
}

function readRow({ channel, columns }: ChannelReader, row: keyof Counters, value: string): void {
  channel.counters ??= {
    import_updates: null,
    import_withdraws: null,
    export_updates: null,
    export_withdraws: null,
  };
  channel.counters[row] = readCounters(columns, value);
}

function readCounters(columns: ChannelReader["columns"], value: string): BgpCounters {
  const counters: BgpCounters = {
    received: null,
    rejected: null,
    filtered: null,
    ignored: null,
    rx_limit: null,
    limit: null,
    accepted: null,
  };
  const count = columns.length;
  const fits = value.length <= CELL_WIDTH * count && value.length > CELL_WIDTH * (count - 1);
  for (let at = 0; fits && at < count; at += 1) {
    const end = value.length - CELL_WIDTH * (count - 1 - at);
    if (at < count - 1 && value.charCodeAt(end) !== 32) return pushedAside(columns, value, counters);
    const column = columns[at];
    if (column != null) counters[column] = numberBefore(value, end, Math.max(0, end - CELL_WIDTH));
  }
  return fits ? counters : pushedAside(columns, value, counters);
}

/** BIRD prints a cell as ten places and a space before it; a longer number pushes the rest of its row aside. */
const CELL_WIDTH = 11;

function pushedAside(columns: ChannelReader["columns"], value: string, counters: BgpCounters): BgpCounters {
  const cells = value.split(/\s+/);
  // A table with more cells than named columns is of a version we have not seen: unknown, rather than shifted by one.
  const known = cells.length === columns.length;
  for (const [at, column] of columns.entries())
    if (column !== null) counters[column] = known ? numberOf(cells[at] ?? "") : null;
  return counters;
}

/** The number that ends before `end`, read from the right so that the places before it are not looked at; null for `---`. */
function numberBefore(value: string, end: number, start: number): number | null {
  let [count, place] = [0, 1];
  for (let at = end - 1; at >= start; at -= 1) {
    const char = value.charCodeAt(at);
    if (char === 32) break;
    if (char < 48 || char > 57) return null;
    count += (char - 48) * place;
    place *= 10;
  }
  return place === 1 ? null : count;
}

function numberOf(text: string): number | null {
  const count = Number(text);
  return text !== "" && Number.isInteger(count) ? count : null;
}

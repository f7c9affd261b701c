/**
 * Reads the channel blocks of `show protocols all`: from "Channel X" on in BIRD 2 and 3; BIRD 1.6 has no such line and
 * prints the same keys in the protocol's own block. Indentation differs between the two, so keys decide, not columns.
 */
import type { BgpChannel, BgpCounters } from "@muster/protocol/telemetry/bgp";

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

const ROW_NAMES: Readonly<Record<string, keyof Counters>> = {
  "Import updates": "import_updates",
  "Import withdraws": "import_withdraws",
  "Export updates": "export_updates",
  "Export withdraws": "export_withdraws",
};

const LIMIT_NAMES = {
  "Receive limit": "receive",
  "Import limit": "import",
  "Export limit": "export",
} as const;

/** A channel being read, line by line. `columns` remembers the header of the counter table. */
export type ChannelReader = { readonly channel: BgpChannel; columns: (keyof BgpCounters)[] };

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
  const { channel } = reader;
  const limit = LIMIT_NAMES[key as keyof typeof LIMIT_NAMES];
  const row = ROW_NAMES[key];
  if (limit !== undefined) {
    const match = /^(\d+)\s*(\[HIT\])?/.exec(value);
    if (match === null) return;
    const hit = match[2] !== undefined;
    channel.limits.push({ direction: limit, limit: Number(match[1]), action: null, hit });
  } else if (row !== undefined) {
    channel.counters ??= {
      import_updates: null,
      import_withdraws: null,
      export_updates: null,
      export_withdraws: null,
    };
    channel.counters[row] = readCounters(reader.columns, value);
  } else if (key === "Route change stats") {
    const names = value.match(/RX limit|IN limit|[a-z]+/g) ?? [];
    reader.columns = names.flatMap((name) => COLUMN_NAMES[name] ?? []);
  } else {
    readPlain(channel, key, value);
  }
}

/** `Pending 3 attribute sets with total 40 prefixes to send`: the one line of a channel that has no colon. */
export function readPending({ channel }: ChannelReader, text: string): void {
  const match = /^Pending \d+ attribute sets with total (\d+) prefixes/.exec(text);
  if (match !== null) channel.pending = Number(match[1]);
}

function readPlain(channel: BgpChannel, key: string, value: string): void {
  const last_limit = channel.limits.at(-1);
  switch (key) {
    case "State":
      channel.state = value.toLowerCase();
      break;
    case "Import state":
      channel.import_state = value.toLowerCase();
      break;
    case "Export state":
      channel.export_state = value.toLowerCase();
      break;
    case "Preference":
      channel.preference = /^\d+$/.test(value) ? Number(value) : null;
      break;
    case "Table":
      channel.table = value;
      break;
    case "Input filter":
      channel.import_filter = value;
      break;
    case "Output filter":
      channel.export_filter = value;
      break;
    case "Action":
      if (last_limit !== undefined) last_limit.action = value;
      break;
    case "BGP Next hop":
      channel.next_hop = value;
      break;
    case "Routes":
      for (const [, count, what] of value.matchAll(/(\d+) (imported|filtered|exported|preferred)/g)) {
        channel[what as "imported" | "filtered" | "exported" | "preferred"] = Number(count);
      }
      break;
  }
}

function readCounters(columns: readonly (keyof BgpCounters)[], value: string): BgpCounters {
  const counters: BgpCounters = {
    received: null,
    rejected: null,
    filtered: null,
    ignored: null,
    rx_limit: null,
    limit: null,
    accepted: null,
  };
  const cells = value.split(/\s+/);
  // A table with more cells than named columns is of a version we have not seen: unknown, rather than shifted by one.
  if (cells.length !== columns.length) return counters;
  for (const [index, column] of columns.entries()) {
    const cell = cells[index] ?? "---";
    counters[column] = /^\d+$/.test(cell) ? Number(cell) : null;
  }
  return counters;
}

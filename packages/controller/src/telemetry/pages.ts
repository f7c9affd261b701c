/** `ctl.hosts`, `ctl.names` and `ctl.last`: names and last values page by page, each page small enough for one message. */
import { briefOf, type Grant } from "@muster/protocol";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import type { MissingHost } from "@muster/protocol/declared";
import type { HostView } from "@muster/protocol/record";
import type { KindFaults } from "@muster/protocol/telemetry/fault";
import type { HostRecords } from "../records/hosts.ts";
import type { LastValues } from "./last.ts";

/** A page that holds so much is full. */
const PAGE_BYTES = 400_000;
/** A reply must fit into one message of 1 MiB. */
const REPLY_BYTES = 950_000;
/** Of the faults of one kind, where a host tells too much. */
const FAULTS_BYTES = 20_000;

/** `missing`: hosts without a record, of which each stands where its name belongs. */
export function hostsPage(
  request: ControlRequest<"hosts">,
  records: HostRecords,
  last: LastValues,
  now_ms: number,
  guest: Grant | null = null,
  missing: readonly MissingHost[] = [],
): ControlReply<"hosts"> {
  const { after } = request;
  const never = new Map(missing.map((host) => [host.name, { missing: host }]));
  const make = (host: string) => {
    const absent = never.get(host);
    if (absent !== undefined) return absent;
    const view = last.view(host, now_ms);
    const brief = request.brief === true && view !== null ? briefOf(view, now_ms) : null;
    return brief ?? view;
  };
  const known = namesFor(guest, records, after);
  const absent = [...never.keys()].filter((name) => after === null || name > after);
  const names = absent.length === 0 ? known : [...known, ...absent].sort();
  const { items, next } = page(names, request.limit, make, (item) =>
    "record" in item ? lessOf(item) : item,
  );
  const hosts = items.filter((item) => "record" in item);
  const here = items.flatMap((item) => ("missing" in item ? [item.missing] : []));
  const brief = items.flatMap((item) => ("record" in item || "missing" in item ? [] : [item]));
  return {
    hosts,
    ...(request.brief === true ? { brief } : {}),
    ...(here.length === 0 ? {} : { missing: here }),
    ...{ next, now: now_ms },
  };
}

export function namesPage(
  request: ControlRequest<"names">,
  records: HostRecords,
  guest: Grant | null = null,
): ControlReply<"names"> {
  const { items, next } = page(namesFor(guest, records, request.after), request.limit, (name) => {
    const record = records.byName(name);
    return record?.state === "enrolled" ? { name, id: record.id } : null;
  });
  return { hosts: items, next };
}

export function lastPage(
  request: ControlRequest<"last">,
  records: HostRecords,
  last: LastValues,
  now_ms: number,
  guest: Grant | null = null,
): ControlReply<"last"> {
  const seen = namesFor(guest, records, request.after);
  const names = request.host === undefined ? seen : seen.filter((name) => name === request.host);
  const { items, next } = page(names, request.limit, (host) => {
    const sample = last.sample(host, request.kind);
    const id = records.byName(host)?.id;
    if (sample === undefined || id === undefined) return null;
    return {
      host,
      id,
      heard_at: sample.heard_at,
      sample: sample.value as ControlReply<"last">["values"][number]["sample"],
    };
  });
  return { values: items, next, now: now_ms };
}

/** Somebody who was invited sees the hosts of his groups. */
function namesFor(guest: Grant | null, records: HostRecords, after: string | null): string[] {
  if (guest === null) return records.names(after);
  const seen = new Set(records.seenBy(guest).map(({ name }) => name));
  return records.names(after).filter((name) => seen.has(name));
}

/** `next` is the last name of this page when there are more; `less` is given what does not fit even alone. */
function page<T>(
  names: readonly string[],
  limit: number,
  make: (name: string) => T | null,
  less: (item: T) => T = (item) => item,
): { items: T[]; next: string | null } {
  const items: T[] = [];
  let bytes = 0;
  for (const [index, name] of names.entries()) {
    const made = make(name);
    if (made !== null) {
      const whole = bytesOf(made);
      const item = whole > REPLY_BYTES ? less(made) : made;
      const size = item === made ? whole : bytesOf(item);
      // What does not fit behind the others begins the next page.
      if (items.length > 0 && bytes + size > REPLY_BYTES) return { items, next: names[index - 1] ?? null };
      bytes += size;
      items.push(item);
    }
    const more = index + 1 < names.length;
    if (more && (items.length >= limit || bytes >= PAGE_BYTES)) return { items, next: name };
  }
  return { items, next: null };
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

/** A host that alone tells more than fits keeps nobody else from being seen: the largest of it is left away, and that is said. */
function lessOf(view: HostView): HostView {
  const faults = (view.faults ?? []).map((of) =>
    bytesOf(of) > FAULTS_BYTES ? tooMuch(of.kind, of.heard_at) : of,
  );
  let less: HostView = { ...view, faults };
  const told = (["bgp", "checks", "health"] as const).map((kind) => ({
    kind,
    bytes: bytesOf(view[kind] ?? null),
  }));
  for (const { kind } of told.sort((one, other) => other.bytes - one.bytes)) {
    if (bytesOf(less) <= REPLY_BYTES) break;
    less = { ...less, [kind]: null, faults: [...(less.faults ?? []), tooMuch(kind, view.heard_at ?? 0)] };
  }
  return less;
}

const tooMuch = (kind: string, heard_at: number): KindFaults => ({
  ...{ kind, heard_at },
  faults: [
    {
      ...{ colour: "red", about: null, ref: null, since: null },
      what: `it tells more than fits into one answer of the controllers: what it tells of ${kind} is left away`,
    },
  ],
});

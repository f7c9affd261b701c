/** `ctl.hosts`, `ctl.names` and `ctl.last`: names and last values page by page, each page small enough for one message. */
import { briefOf, type Grant } from "@muster/protocol";
import type { ControlReply, ControlRequest } from "@muster/protocol/control/index";
import type { HostRecords } from "../records/hosts.ts";
import type { LastValues } from "./last.ts";

/** A reply must fit into one message of 1 MiB; the last on a page may be a host with a sample of SAMPLE_BYTES. */
const PAGE_BYTES = 400_000;

export function hostsPage(
  request: ControlRequest<"hosts">,
  records: HostRecords,
  last: LastValues,
  now_ms: number,
  guest: Grant | null = null,
): ControlReply<"hosts"> {
  const { items, next } = page(namesFor(guest, records, request.after), request.limit, (host) => {
    const view = last.view(host, now_ms);
    const brief = request.brief === true && view !== null ? briefOf(view, now_ms) : null;
    return brief ?? view;
  });
  const hosts = items.filter((item) => "record" in item);
  if (request.brief !== true) return { hosts, next, now: now_ms };
  return { hosts, brief: items.flatMap((item) => ("record" in item ? [] : [item])), next, now: now_ms };
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

/** `next` is the last name of this page when there are more. */
function page<T>(
  names: readonly string[],
  limit: number,
  make: (name: string) => T | null,
): { items: T[]; next: string | null } {
  const items: T[] = [];
  let bytes = 0;
  for (const [index, name] of names.entries()) {
    const item = make(name);
    if (item !== null) {
      bytes += JSON.stringify(item).length;
      items.push(item);
    }
    const more = index + 1 < names.length;
    if (more && (items.length >= limit || bytes >= PAGE_BYTES)) return { items, next: name };
  }
  return { items, next: null };
}

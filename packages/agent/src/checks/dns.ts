/** Over DNS: whether a name resolves at a server, and to what is asked for. */
import { Resolver } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { bad, blind, good, type MakeWay, wordsOf } from "./way.ts";

const LIMIT_MS = 10_000;
const SHOWN = 5;

export const dns: MakeWay = (check) => async (signal) => {
  // One for each question: a resolver may remember answers.
  const resolver = new Resolver({ timeout: LIMIT_MS, tries: 1 });
  try {
    if (check.server !== undefined) resolver.setServers([check.server]);
  } catch (error) {
    return blind(wordsOf(error));
  }
  const stop = () => resolver.cancel();
  signal.addEventListener("abort", stop, { once: true });
  const began_ms = performance.now();
  try {
    const found = (await ask(resolver, check.dns ?? "", check.type ?? "AAAA")).map(shown);
    if (found.length === 0) return bad("no such record");
    if (check.answer === undefined || found.map(alike).includes(alike(check.answer))) return good(began_ms);
    const more = found.length > SHOWN ? ` and ${found.length - SHOWN} more` : "";
    return bad(`answers ${found.slice(0, SHOWN).join(", ")}${more}, ${check.answer} asked for`);
  } catch (error) {
    return bad(wordsOf(error));
  } finally {
    signal.removeEventListener("abort", stop);
  }
};

async function ask(resolver: Resolver, name: string, type: string): Promise<unknown[]> {
  const found: unknown = await resolver.resolve(name, type as "A");
  return Array.isArray(found) ? found : [found];
}

/** As `dig +short` shows it. */
function shown(record: unknown): string {
  if (typeof record === "string") return record;
  if (Array.isArray(record)) return `"${record.join("")}"`;
  const field = record as Readonly<Record<string, string | number>>;
  if ("exchange" in field) return `${field.priority} ${field.exchange}`;
  if ("port" in field) return `${field.priority} ${field.weight} ${field.port} ${field.name}`;
  if ("nsname" in field)
    return `${field.nsname} ${field.hostmaster} ${field.serial} ${field.refresh} ${field.retry} ${field.expire} ${field.minttl}`;
  const [tag] = Object.keys(field).filter((key) => key !== "critical");
  return tag === undefined ? "" : `${field.critical} ${tag} "${field[tag]}"`;
}

/** So that the same record in two ways of writing is one. */
function alike(text: string): string {
  if (isIPv6(text) && !text.includes("%")) return new URL(`http://[${text}]`).hostname.slice(1, -1);
  return text
    .toLowerCase()
    .replaceAll('"', "")
    .replace(/\.(?= |$)/g, "");
}

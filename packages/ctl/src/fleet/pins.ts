/**
 * `hosts.lock` of the fleet folder: which key each host's name stands for. Written by `ctl`, committed by people, one line an entry, sorted, so that
 * merges work. A name is pinned the first time that something is signed for it; another key under the same name is refused.
 */
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { HostId, HostName, hostFingerprint } from "@muster/protocol/names";
import { withNext } from "../output/error.ts";
import { readText, writeChanged } from "./disk.ts";

export const LOCK_FILE = "hosts.lock";
const HEAD = "# Which key each host's name stands for. Written by ctl; commit it.\n";

/** name → id. */
export type Pins = ReadonlyMap<string, string>;

/** Reads the text of a lock file. Errors: INVENTORY with every bad line. */
export function parsePins(text: string): Pins {
  const pins = new Map<string, string>();
  const problems: string[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const where = `${LOCK_FILE}:${at + 1}`;
    const [name = "", id = "", ...rest] = line.trim().split(/\s+/);
    if (/^[<=>]{7}/.test(line)) problems.push(`${where}: a merge was left undone here`);
    else if (!HostName.safeParse(name).success || !HostId.safeParse(id).success || rest.length > 0) {
      problems.push(`${where}: must be a name and a key`);
    } else if (pins.has(name) && pins.get(name) !== id) {
      problems.push(
        `${where}: ${name} stands here twice with different keys; keep the line of the machine that is in use`,
      );
    } else pins.set(name, id);
  }
  if (problems.length > 0) throw new FleetError("INVENTORY", `\n${problems.join("\n")}`);
  return pins;
}

export function printPins(pins: Pins): string {
  const lines = [...pins]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, id]) => `${name} ${id}\n`);
  return HEAD + lines.join("");
}

/** The pins of a fleet folder; none when there is no file yet. */
export async function loadPins(folder: string): Promise<Pins> {
  return parsePins((await readText(join(folder, LOCK_FILE))) ?? "");
}

/** Writes them; false when nothing changed. */
export function savePins(folder: string, pins: Pins): Promise<boolean> {
  return writeChanged(join(folder, LOCK_FILE), printPins(pins), 0o644);
}

export type PinCheck = {
  /** Pins with the new ones added. */
  readonly pins: Pins;
  /** Seen for the first time: show the fingerprint and ask before anything is signed for them. */
  readonly first: readonly { readonly name: string; readonly id: string }[];
};

/**
 * Holds the ids that the fleet reports against the pins. Pure.
 * Errors: NAME_TAKEN for a name whose key is another than the pinned one, or a key pinned under another name.
 */
export function checkPins(pins: Pins, reported: ReadonlyMap<string, string>): PinCheck {
  const names = new Map([...pins].map(([name, id]) => [id, name]));
  const next = new Map(pins);
  const first: { name: string; id: string }[] = [];
  for (const [name, id] of reported) {
    const pinned = pins.get(name);
    if (pinned !== undefined && pinned !== id) {
      const detail = `${name} has another key than ${LOCK_FILE} says (${hostFingerprint(id)}, pinned ${hostFingerprint(pinned)}): another machine, or a new installation`;
      throw withNext(
        new FleetError("NAME_TAKEN", detail),
        `if you have replaced it: ctl host replace ${name}`,
      );
    }
    const other = names.get(id);
    if (other !== undefined && other !== name) {
      throw new FleetError("NAME_TAKEN", `${name} shows the key that ${LOCK_FILE} keeps for ${other}`);
    }
    if (pinned === undefined) {
      next.set(name, id);
      names.set(id, name);
      first.push({ name, id });
    }
  }
  return { pins: next, first };
}

/**
 * What `log` resources name, followed and sent: one journalctl for all units, one stream of Docker's a container. Nothing waits for the broker: lines gather in a bounded buffer, and
 * what does not fit is dropped and told. More than a rate is read later, not faster, so that a flood costs no processor. Loaded only where something is declared.
 */
import type { Log } from "@muster/ports/log";
import type { FleetEvent } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { LogBatch, SentLine } from "@muster/protocol/log";
import { type Log as LogSpec, unitName } from "@muster/protocol/resources/log";
import { PRIORITIES, type Priority } from "@muster/protocol/rpc/logs";
import { cutText, ENTRY_LIMIT, journalArguments, journalEntry } from "../journal.ts";
import type { Ports } from "../ports/index.ts";
import { lineSplitter } from "../ports/lines.ts";
import { Bell, pause } from "../wait.ts";
import { LineBuffer } from "./buffer.ts";
import { LeftAt } from "./left.ts";

/** So long lines gather; then so many messages may go at most. */
const GATHER_MS = 1_000;
const MESSAGES_A_TURN = 4;
/** Lines of all sources that are read in a second. */
const LINES_A_SECOND = 2_000;
/** Of what was written before, where a source is taken up again. */
const CAUGHT_UP = 1_000;
const AGAIN_FIRST_MS = 1_000;
const AGAIN_LONGEST_MS = 30_000;
/** That lines are dropped is an event, once in so long. */
const TOLD_EVERY_MS = 3_600_000;
const WORDS_LIMIT = 2_000;
const NEVER_MS = 86_400_000;

export type ShipperDoor = {
  readonly ports: Pick<Ports, "runStreamed" | "docker" | "confined" | "now">;
  readonly log: Log;
  /** Where it is kept how far was read. */
  readonly file: string;
  tell(event: Omit<FleetEvent, "at">): void;
  /** Never fails and never waits; false where there was no connection. */
  send(batch: LogBatch): boolean;
};

/** Of one host; more are not followed, and it says so. */
const UNITS_LIMIT = 256;
const CONTAINERS_LIMIT = 64;

/** What is followed, of all resources together. */
type Sources = {
  readonly units: ReadonlyMap<string, Priority>;
  readonly containers: ReadonlySet<string>;
  /** So many are too many. */
  readonly beyond?: number;
};

export function sourcesOf(specs: readonly LogSpec[]): Sources {
  const units = new Map<string, Priority>();
  for (const { units: of, priority } of specs)
    for (const unit of of.map(unitName)) units.set(unit, lessUrgent(units.get(unit), priority));
  const containers = new Set(specs.flatMap((spec) => spec.containers));
  const beyond = Math.max(0, units.size - UNITS_LIMIT) + Math.max(0, containers.size - CONTAINERS_LIMIT);
  return {
    units: new Map([...units].sort().slice(0, UNITS_LIMIT)),
    containers: new Set([...containers].sort().slice(0, CONTAINERS_LIMIT)),
    beyond,
  };
}

const urgency = (priority: Priority) => PRIORITIES.indexOf(priority);
const lessUrgent = (one: Priority | undefined, other: Priority): Priority =>
  one !== undefined && urgency(one) > urgency(other) ? one : other;

export class LogShipper {
  readonly #door: ShipperDoor;
  readonly #signal: AbortSignal;
  readonly #buffer = new LineBuffer();
  readonly #bell = new Bell();
  readonly #containers = new Map<string, AbortController>();
  #journal: { readonly life: AbortController; readonly key: string } | null = null;
  readonly #left: LeftAt;
  readonly #running = new Set<Promise<void>>();
  #second = { at: 0, lines: 0 };
  #told_at = Number.NEGATIVE_INFINITY;
  #beyond = 0;
  /** A mistake in the program, for `run`. */
  #broken: unknown = null;

  constructor(door: ShipperDoor, signal: AbortSignal) {
    this.#door = door;
    this.#signal = signal;
    this.#left = LeftAt.open(door.file, door.log, door.ports.now);
  }

  /** Follows these from now on, and no others. */
  declare(sources: Sources): void {
    if (sources.units.size === 0) this.#left.readJournal(null);
    this.#left.keepOnly(sources.containers);
    this.#follow(sources);
    const { beyond = 0 } = sources;
    if (beyond !== this.#beyond && beyond > 0) {
      const what = `${beyond} more sources of logs are declared than are followed: ${UNITS_LIMIT} units and ${CONTAINERS_LIMIT} containers`;
      this.#door.tell({ kind: "resource", severity: "warning", what });
    }
    this.#beyond = beyond;
  }

  #follow({ units, containers }: Sources): void {
    const key = JSON.stringify([...units].sort());
    if (this.#journal?.key !== key) {
      this.#journal?.life.abort();
      this.#journal = null;
      if (units.size > 0) {
        const life = this.#begin((signal) => this.#followJournal(units, signal));
        this.#journal = { life, key };
      }
    }
    for (const [name, life] of this.#containers)
      if (!containers.has(name)) {
        life.abort();
        this.#containers.delete(name);
      }
    for (const name of containers)
      if (!this.#containers.has(name))
        this.#containers.set(
          name,
          this.#begin((signal) => this.#followContainer(name, signal)),
        );
  }

  /** Sends until the signal aborts, and then until all that was begun has ended. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#buffer.empty) await this.#bell.rung(NEVER_MS, signal);
      if (this.#broken !== null) throw this.#broken;
      await pause(GATHER_MS, signal);
      this.#send();
    }
    this.#follow({ units: new Map(), containers: new Set() });
    await Promise.all(this.#running);
    this.#send();
    if (this.#buffer.empty) await this.#left.sent({ now: true });
  }

  #send(): void {
    for (let left = MESSAGES_A_TURN; left > 0 && !this.#buffer.empty; left -= 1) {
      const batch = this.#buffer.next();
      if (!this.#door.send({ at: this.#door.ports.now(), lines: [...batch.lines], dropped: batch.dropped }))
        return;
      this.#buffer.sent(batch);
    }
    if (this.#buffer.empty) void this.#left.sent();
  }

  #begin(work: (signal: AbortSignal) => Promise<void>): AbortController {
    const life = new AbortController();
    const running = work(AbortSignal.any([life.signal, this.#signal]))
      .catch((error: unknown) => {
        this.#broken = error;
        this.#bell.ring();
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    return life;
  }

  async #take(line: SentLine, signal: AbortSignal): Promise<void> {
    const at = Math.floor(performance.now() / 1_000);
    if (this.#second.at !== at) this.#second = { at, lines: 0 };
    this.#second.lines += 1;
    const gone = this.#buffer.push(line);
    if (gone > 0) this.#tellDropped();
    this.#bell.ring();
    if (this.#second.lines >= LINES_A_SECOND) await pause(1_000 - (performance.now() % 1_000), signal);
  }

  #tellDropped(): void {
    const { ports, log, tell } = this.#door;
    if (ports.now() - this.#told_at < TOLD_EVERY_MS) return;
    this.#told_at = ports.now();
    const what = "log lines are dropped: more is written than is sent, or the broker is away";
    log.warn({}, what);
    tell({ kind: "resource", severity: "warning", what });
  }

  async #followJournal(units: ReadonlyMap<string, Priority>, signal: AbortSignal): Promise<void> {
    const { ports } = this.#door;
    const began = ports.now();
    const priority = [...units.values()].reduce(lessUrgent);
    await this.#again("the journal", signal, async (fresh) => {
      if (ports.confined !== null)
        throw new FleetError("UNSUPPORTED", `it is the whole machine's: ${ports.confined}`);
      const wish = { units: [...units.keys()], follow: true, grep: null, priority };
      let words = "";
      const split = lineSplitter(ENTRY_LIMIT);
      const { code, ended_by } = await ports.runStreamed(
        "journalctl",
        journalArguments({ ...wish, ...this.#left.journal(began), last: CAUGHT_UP }),
        {
          on_output: async (from, text) => {
            if (from === "stderr") words = (words + text).slice(0, WORDS_LIMIT);
            else
              for (const one of split(text)) {
                // Another goes on from here, or nobody does.
                if (signal.aborted) return;
                fresh();
                await this.#takeEntry(one, units, signal);
              }
          },
        },
        signal,
      );
      throw new FleetError("COMMAND_FAILED", `journalctl: ${words.trim() || (ended_by ?? `code ${code}`)}`);
    });
  }

  async #takeEntry(text: string, wanted: ReadonlyMap<string, Priority>, signal: AbortSignal): Promise<void> {
    const { line, units, cursor } = journalEntry(text);
    const unit = units.find((each) => wanted.has(each)) ?? units[0] ?? "unknown";
    const least = wanted.get(unit);
    if (cursor !== null) this.#left.readJournal({ cursor, at: line.at });
    if (line.priority !== null && least !== undefined && urgency(line.priority) > urgency(least)) return;
    await this.#take(
      { at: line.at, unit: unit.slice(0, 256), priority: line.priority, text: line.text },
      signal,
    );
  }

  async #followContainer(name: string, signal: AbortSignal): Promise<void> {
    const { ports } = this.#door;
    const began = ports.now();
    await this.#again(`container ${name}`, signal, async (fresh) => {
      await ports.docker.logs(
        name,
        { follow: true, since: this.#left.container(name, began), last: CAUGHT_UP },
        async (line) => {
          if (signal.aborted) return;
          fresh();
          this.#left.readContainer(name, line.at);
          await this.#take(
            { at: line.at, container: name, priority: null, text: cutText(line.text).text },
            signal,
          );
        },
        signal,
      );
    });
  }

  /** Again and again, more slowly while nothing comes of it: a container that is not there yet, a daemon that is away. */
  async #again(what: string, signal: AbortSignal, work: (fresh: () => void) => Promise<void>): Promise<void> {
    let wait_ms = AGAIN_FIRST_MS;
    let complained = "";
    while (!signal.aborted) {
      try {
        await work(() => {
          wait_ms = AGAIN_FIRST_MS;
          complained = "";
        });
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FleetError)) throw error;
        if (error.message !== complained)
          this.#door.log.warn({ err: error }, `the log of ${what} cannot be followed: ${error.message}`);
        complained = error.message;
      }
      await pause(wait_ms, signal);
      wait_ms = Math.min(AGAIN_LONGEST_MS, wait_ms * 2);
    }
  }
}

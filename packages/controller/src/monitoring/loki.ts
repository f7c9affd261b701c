/**
 * Log lines of hosts to a Loki, or what speaks its push API: POST /loki/api/v1/push, JSON in gzip (grafana.com/docs/loki/latest/reference/loki-http-api). By the leader alone, from a
 * bounded queue: while Loki is away the oldest lines go, and that they went is told. At most once: what one leader had in hand is lost with it.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Bus } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import type { RouteStanding } from "@muster/protocol/alert";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { LogBatch, type SentLine } from "@muster/protocol/log";
import type { Loki } from "@muster/protocol/monitoring";
import { patterns } from "@muster/protocol/subjects";
import { AnsweredStatus, ask, authorization } from "../outside.ts";
import { pause } from "../retry.ts";
import { LineQueue, type Queued } from "./queue.ts";

const packed = promisify(gzip);

/** Of one push, as text. */
const PUSH_BYTES = 1024 * 1024;
const GATHER_MS = 1_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_LONGEST_MS = 60_000;
/** These say that lines are wrong, and would say so again; all else may be mended, and is tried again. Loki keeps those of a push with which nothing is wrong, and does not say how many. */
const HOPELESS: ReadonlySet<number> = new Set([400, 413, 415, 422]);

/**
 * Lines that got there; that hosts dropped, that the queue had no place for, that were in pushes that Loki refused; and messages that cannot be read.
 */
export type LogCounted = "pushed" | "dropped_by_host" | "dropped" | "refused" | "unreadable";

export type LokiPorts = {
  readonly bus: Pick<Bus, "subscribe" | "onStatus">;
  readonly fleet: string;
  /** Whether a name is that key's. */
  isHost(name: string, id: string): boolean;
  readonly log: Log;
  readonly now: () => number;
  /** The value of a reference to Vault; any other text as it is. */
  secret(text: string): Promise<string>;
  count(what: LogCounted, count: number): void;
};

export class LokiPush {
  readonly #loki: Loki;
  readonly #ports: LokiPorts;
  readonly #life = new AbortController();
  readonly #queue = new LineQueue();
  #dropped = 0;
  /** Since Loki last took something: lines of refused pushes, and its last words. */
  #refused = { lines: 0, why: "" };
  /** Hosts whose messages cannot be read. */
  readonly #unreadable = new Set<string>();
  /** Since when the broker does not let us hear lines. */
  #deaf_since: number | null = null;
  #wake: (() => void) | null = null;
  #standing: Pick<RouteStanding, "ok_at" | "failing_since" | "error"> = {
    ok_at: null,
    failing_since: null,
    error: "",
  };
  readonly #ends: readonly (() => void)[];
  readonly #running: Promise<void>;

  constructor(loki: Loki, ports: LokiPorts) {
    this.#loki = loki;
    this.#ports = ports;
    this.#ends = [
      ports.bus.onStatus((event) => {
        if (event.type === "denied" && event.subject === patterns.log) this.#deaf_since ??= ports.now();
        else if (event.type === "reconnected") this.#deaf_since = null;
      }),
      ports.bus.subscribe(patterns.log, { concurrency: 1, pending_limit: 4_096 }, (message) =>
        this.#take(message.subject, message.body),
      ),
    ];
    this.#running = this.#run();
  }

  standing(): RouteStanding {
    const deaf =
      this.#deaf_since === null
        ? {}
        : { failing_since: this.#deaf_since, error: `no host's lines are heard: ${OLDER_FLEET}` };
    return { name: "loki", to: "loki", ...this.#standing, ...deaf, waiting: this.#queue.length };
  }

  /** Ends; what is queued is lost. */
  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    this.#life.abort();
    this.#wake?.();
    await this.#running;
  }

  #take(subject: string, body: Uint8Array): void {
    const [, id = "", host = ""] = subject.split(".");
    const { log, isHost } = this.#ports;
    if (!isHost(host, id)) return;
    try {
      const { lines, dropped, at } = parseJson(LogBatch, body, subject);
      this.#unreadable.delete(host);
      for (const line of lines) this.#put({ host, line });
      if (dropped === 0) return;
      this.#ports.count("dropped_by_host", dropped);
      this.#put({
        host,
        line: ownLine(at, "muster-agent", `${dropped} lines of this host were dropped: ${WHY}`),
      });
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      this.#ports.count("unreadable", 1);
      if (this.#unreadable.has(host)) return;
      this.#unreadable.add(host);
      log.warn({ err: error, subject }, "log lines that cannot be read");
      this.#put({
        host,
        line: ownLine(
          this.#ports.now(),
          "muster-controller",
          "what this host sends cannot be read here: is its agent newer than the controllers?",
        ),
      });
    }
  }

  #put(queued: Queued): void {
    const gone = this.#queue.put(queued);
    if (gone > 0) this.#drop(gone, "Loki takes no more, and the queue is full");
    this.#wake?.();
  }

  #drop(lines: number, why: string): void {
    if (this.#dropped === 0) this.#ports.log.warn({ lines, why }, "log lines are dropped");
    this.#dropped += lines;
    this.#ports.count("dropped", lines);
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    let tries = 0;
    while (!signal.aborted) {
      if (this.#queue.length === 0)
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      this.#wake = null;
      if (tries === 0 && this.#queue.bytes < PUSH_BYTES) await pause(GATHER_MS, signal);
      if (signal.aborted) return;
      tries = (await this.#push(signal)) ? 0 : tries + 1;
      if (tries > 0) {
        const wait_ms = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** Math.min(tries - 1, 10));
        await pause(wait_ms * (0.75 + Math.random() / 2), signal);
      }
    }
  }

  /** One push of what is first. False: it is to be tried again. */
  async #push(signal: AbortSignal): Promise<boolean> {
    const { log, now, secret, count } = this.#ports;
    // They are in hand from now on: what is dropped meanwhile is not of them.
    const batch = this.#queue.take(PUSH_BYTES);
    const dropped = this.#dropped;
    const refused = this.#refused;
    const told = [...batch];
    const tell = (text: string) => told.push({ host: null, line: ownLine(now(), "muster-controller", text) });
    if (dropped > 0) tell(`${dropped} lines were dropped on their way to Loki`);
    if (refused.lines > 0) tell(`up to ${refused.lines} lines were refused: ${refused.why}`);
    try {
      const [url, log_in, body] = await Promise.all([
        secret(this.#loki.url),
        authorization(this.#loki, secret),
        packed(JSON.stringify({ streams: streamsOf(told, this.#ports.fleet, this.#loki.labels) })),
      ]);
      const { tenant, ca } = this.#loki;
      const headers = {
        ...{ "content-type": "application/json", "content-encoding": "gzip", ...log_in },
        ...(tenant === undefined ? {} : { "x-scope-orgid": tenant }),
      };
      const at = `${url.replace(/\/+$/, "")}/loki/api/v1/push`;
      await ask({ method: "POST", url: at, what: "Loki", headers, body, ca }, signal);
      if (this.#standing.failing_since !== null) log.info({}, "Loki takes log lines again");
      this.#standing = { ok_at: now(), failing_since: null, error: "" };
      this.#dropped -= dropped;
      this.#refused = { lines: 0, why: "" };
      count("pushed", batch.length);
      return true;
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      if (signal.aborted) return true;
      if (this.#standing.error === "") log.warn({ err: error }, "Loki does not take log lines");
      this.#standing.failing_since ??= now();
      const hopeless = error.cause instanceof AnsweredStatus && HOPELESS.has(error.cause.status);
      if (hopeless) {
        count("refused", batch.length);
        this.#refused = { lines: refused.lines + batch.length, why: error.detail };
      } else this.#queue.putBack(batch);
      const what = hopeless ? `up to ${this.#refused.lines} lines were refused and are not sent again: ` : "";
      this.#standing.error = `${what}${hopeless ? error.detail : error.message}`.slice(0, 500);
      return hopeless;
    }
  }
}

const WHY = "more was written than is sent, or the broker was away";
const OLDER_FLEET =
  "the broker refuses it, as this fleet's account is from before log lines; type the ctl init line again";
const ownLine = (at: number, unit: string, text: string): SentLine => ({
  ...{ at, unit: `${unit}.service`, priority: "warning", text },
});

type Stream = { readonly stream: Record<string, string>; readonly values: [string, string][] };

/** Lines by their labels. Lines of one millisecond are told apart by what follows it: the same words at the same time count once for Loki. */
export function streamsOf(
  lines: readonly Queued[],
  fleet: string,
  labels: Readonly<Record<string, string>>,
): Stream[] {
  const streams = new Map<string, Stream & { last: number; same: number }>();
  for (const { host, line } of lines) {
    const { unit, container, priority, at, text } = line;
    const key = JSON.stringify([host, unit, container, priority]);
    const held = streams.get(key) ?? {
      stream: {
        ...labels,
        ...{ job: "muster", fleet },
        ...(host === null ? {} : { host }),
        ...(unit === undefined ? {} : { unit }),
        ...(container === undefined ? {} : { container }),
        ...(priority === null ? {} : { priority }),
      },
      ...{ values: [], last: Number.NaN, same: 0 },
    };
    held.same = held.last === at ? held.same + 1 : 0;
    held.last = at;
    held.values.push([`${at}${String(held.same % 1_000_000).padStart(6, "0")}`, text]);
    streams.set(key, held);
  }
  return [...streams.values()].map(({ stream, values }) => ({ stream, values }));
}

/**
 * Requests over the bus: one answer, or the answers of many. A gathering ends as soon as everyone expected has answered,
 * and says who answered, who was not there, and who was silent.
 */
import { FleetError } from "@muster/protocol/errors";
import { answererOf } from "@muster/protocol/subjects";
import type { BusMessage } from "./bus-link.ts";

type Headers = Readonly<Record<string, string>>;

/** Publishes with a place for answers; returns the function that gives the place up. */
export type Ask = (
  subject: string,
  body: Uint8Array,
  headers: Headers | undefined,
  waiting: { on_message: (message: BusMessage) => void; on_error: (error: FleetError) => void },
) => () => void;

/** One message of a scatter; `key` is whom it is for (a host's id). */
export type GatherTarget = {
  readonly key: string;
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers?: Headers;
};

export type Gathered = {
  readonly answers: ReadonlyMap<string, BusMessage>;
  /** Nobody listens there (known at once), or the broker refused the subject. */
  readonly absent: readonly string[];
  /** Asked and not heard of in time. */
  readonly silent: readonly string[];
};

export type GatherOptions = {
  readonly timeout_ms: number;
  /** Hears every answer as it comes. */
  readonly on_answer?: (key: string, message: BusMessage) => void;
  readonly signal?: AbortSignal;
};

export interface BusRequests {
  /**
   * One request, one answer. `NO_RESPONDER` (nobody listens), `TIMEOUT`, `BUS_DENIED` (the subject is not allowed),
   * `BUS_UNREACHABLE` (no connection, or lost while waiting), `CANCELLED`.
   */
  request(
    subject: string,
    body: Uint8Array,
    options: { headers?: Headers; timeout_ms: number; signal?: AbortSignal },
  ): Promise<BusMessage>;
  /** One message each. A lost connection ends it with `BUS_UNREACHABLE`. */
  gather(targets: readonly GatherTarget[], options: GatherOptions): Promise<Gathered>;
  /**
   * One message to all. `expected` are ids: only what comes under an id's own subject is its answer (`Bus.respondAs`), since the broker holds everybody
   * to that. What is sent to the inbox itself could be anybody's, also that nobody is there: nobody is said to be absent.
   */
  gatherBroadcast(
    message: { subject: string; body: Uint8Array; headers?: Headers },
    options: GatherOptions & { expected: ReadonlySet<string> | readonly string[] },
  ): Promise<Gathered>;
  /** One request, many answers: `on_message` returns true when it has enough. Errors as `request`. */
  collect(
    subject: string,
    body: Uint8Array,
    options: { headers?: Headers; timeout_ms: number; signal?: AbortSignal },
    on_message: (message: BusMessage) => boolean,
  ): Promise<void>;
}

const NO_RESPONDERS = 503;

export function busRequests(ask: Ask, hearBroadcasts: () => void): BusRequests {
  const collect: BusRequests["collect"] = (subject, body, options, on_message) =>
    waiting(options, (done, fail) => [
      ask(subject, body, options.headers, {
        on_error: fail,
        on_message: (message) => {
          if (isNobody(message)) fail(new FleetError("NO_RESPONDER", subject));
          else if (on_message(message)) done();
        },
      }),
    ]).then((ended) => {
      if (!ended) throw new FleetError("TIMEOUT", `${subject}: ${options.timeout_ms} ms`);
    });

  return {
    collect,

    async request(subject, body, options) {
      let answer: BusMessage | undefined;
      await collect(subject, body, options, (message) => {
        answer ??= message;
        return true;
      });
      if (answer === undefined) throw new FleetError("TIMEOUT", subject);
      return answer;
    },

    async gather(targets, options) {
      const answers = new Map<string, BusMessage>();
      const absent = new Set<string>();
      if (targets.length === 0) return { answers, absent: [], silent: [] };
      const asked = new Set(targets.map((target) => target.key)).size;
      await waiting(options, (done, fail) => {
        const check = (): void => {
          if (answers.size + absent.size >= asked) done();
        };
        return targets.map((target) =>
          ask(target.subject, target.body, target.headers, {
            on_error: (error) => {
              if (error.code !== "BUS_DENIED") return fail(error);
              absent.add(target.key);
              check();
            },
            on_message: (message) => {
              if (answers.has(target.key)) return;
              if (isNobody(message)) absent.add(target.key);
              else {
                absent.delete(target.key);
                answers.set(target.key, message);
                options.on_answer?.(target.key, message);
              }
              check();
            },
          }),
        );
      });
      const silent = targets
        .map((target) => target.key)
        .filter((key) => !answers.has(key) && !absent.has(key));
      return { answers, absent: [...absent], silent };
    },

    async gatherBroadcast(message, options) {
      const expected = new Set(options.expected);
      const answers = new Map<string, BusMessage>();
      if (expected.size === 0) return { answers, absent: [], silent: [] };
      hearBroadcasts();
      await waiting(options, (done, fail) => [
        ask(message.subject, message.body, message.headers, {
          on_error: fail,
          on_message: (answer) => {
            const key = answererOf(answer.subject);
            if (key === undefined || !expected.has(key) || answers.has(key)) return;
            answers.set(key, answer);
            options.on_answer?.(key, answer);
            if (answers.size === expected.size) done();
          },
        }),
      ]);
      return { answers, absent: [], silent: [...expected].filter((key) => !answers.has(key)) };
    },
  };
}

function isNobody(message: BusMessage): boolean {
  return message.status === NO_RESPONDERS && message.body.length === 0;
}

/** Runs `start` and waits: true when it called `done`, false when the time was up; its places are given up in any case. */
function waiting(
  options: { timeout_ms: number; signal?: AbortSignal },
  start: (done: () => void, fail: (error: unknown) => void) => (() => void)[],
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let ends: (() => void)[] = [];
    let over = false;
    const finish = (conclude: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", cancel);
      for (const end of ends) end();
      conclude();
    };
    const fail = (error: unknown): void => finish(() => reject(error));
    const cancel = (): void => fail(new FleetError("CANCELLED", "while waiting for an answer"));
    const timer = setTimeout(() => finish(() => resolve(false)), options.timeout_ms);
    options.signal?.addEventListener("abort", cancel, { once: true });
    if (options.signal?.aborted) return cancel();
    try {
      ends = start(() => finish(() => resolve(true)), fail);
    } catch (error) {
      fail(error);
    }
  });
}

/**
 * The guarded suite: uvu with its silent passes closed. On its own uvu 0.5.6 exits 0 when a `before` hook throws,
 * when `.run()` was forgotten, when nothing was defined and when a test throws something that is no Error; it has no
 * time limit and waits for ever on an open handle. Here each of these fails the process, by name.
 *
 *   suite("ledger", (test) => {
 *     test("keeps the last entry", async ({ signal }) => { … });
 *   });
 *
 * The suite runs itself, after the file's top level. The last line printed is for the runner (test/run.mjs):
 * `#result passed=3 failed=1 skipped=0`.
 */
import type { Test as UvuTest } from "uvu";
import { LEAST_PATIENCE, patienceNow } from "../../scripts/slowness.mjs";
import { type Account, asError, closingText, openAccount } from "./report.ts";

/** Given to every test and hook. `signal` aborts when the body has ended or its time is up: hang lifetimes on it. */
export interface Context {
  signal: AbortSignal;
}

export type Body = (context: Context) => unknown;

/** Limits of one suite or one test. */
export interface Limits {
  /** Time for each test and each hook, in milliseconds, that a free machine needs at the most: three times that is given, and more on one that is slow then. */
  limit_ms?: number;
}

export interface Hook {
  (body: Body, limits?: Limits): void;
  /** Around every single test. */
  each(body: Body, limits?: Limits): void;
}

export interface Test {
  (name: string, body: Body, limits?: Limits): void;
  /** Leaves a test out. The reason is printed at the end of every run. */
  skip(name: string, reason: string): void;
  before: Hook;
  after: Hook;
}

/** How long a file may hang on open handles after its last test: as other limits. */
const HANG_LIMIT_MS = 4_000;

interface Declared {
  name: string;
  define: (test: Test) => void;
  limit_ms: number;
}

/** What one test file has declared so far; `begun` once its tests run. */
interface FileRun {
  declared: Declared[];
  begun: boolean;
  account: Account;
}

let file_run: FileRun | undefined;

/**
 * Declares a suite of tests; `define` runs later, once the file's top level is done, and must not be async.
 * Throws when tests have already begun: a file declares its suites without awaiting in between.
 */
export function suite(name: string, define: (test: Test) => void, { limit_ms = 10_000 }: Limits = {}): void {
  file_run ??= openFile();
  if (file_run.begun) {
    throw new Error(
      `suite "${name}" comes too late: declare suites at the top level, with no await in between`,
    );
  }
  file_run.declared.push({ name, define, limit_ms });
}

function openFile(): FileRun {
  const run: FileRun = { declared: [], begun: false, account: openAccount() };
  const stray = (kind: string) => (error: unknown) => {
    run.account.failures.push({ where: kind, error });
    process.exitCode = 1;
  };
  process.on("unhandledRejection", stray("a promise was rejected and nobody handled it"));
  process.on("uncaughtException", stray("an exception was thrown outside of any test"));
  setTimeout(() => {
    runAll(run).catch(stray("the suite itself broke"));
  });
  return run;
}

async function runAll(run: FileRun): Promise<void> {
  run.begun = true;
  // With UVU_DEFER uvu does not start by itself, so that the end of its run is ours to await.
  Object.assign(globalThis, { UVU_DEFER: true, UVU_QUEUE: [[null]], UVU_INDEX: 0 });
  const uvu = await import("uvu");
  const closers = run.declared.map((declared) => register(declared, uvu.suite(declared.name), run.account));
  // Printed on exit rather than here: what goes wrong after the last test still counts.
  process.on("exit", () => {
    for (const close of closers) close();
    if (run.account.failures.length > 0) process.exitCode = 1;
    process.stdout.write(closingText(run.account));
  });
  await uvu.exec();
  // Unreferenced: it fires only when something else still holds the process.
  whenOver(HANG_LIMIT_MS, (factor) => {
    const held_by = process.getActiveResourcesInfo().join(", ");
    const error = new Error(
      `still open ${Math.round((HANG_LIMIT_MS * factor) / 1000)} s after the last test: ${held_by}`,
    );
    run.account.failures.push({ where: "the file does not end", error });
    process.exit(1);
  }).unref();
}

/** Declares one suite to uvu, every body guarded. Gives back what to do at the end: account for what never ran. */
function register(declared: Declared, target: UvuTest, account: Account): () => void {
  const { name, limit_ms } = declared;
  const waiting = new Map<string, "the test never ran" | "the process ended during this test">();
  let seen = 0;

  const hook = (kind: string, add: (body: () => Promise<void>) => void, rethrow: boolean) => {
    return (body: Body, limits: Limits = {}) =>
      add(async () => {
        try {
          await within(limits.limit_ms ?? limit_ms, body);
        } catch (thrown) {
          const error = asError(thrown);
          account.failures.push({ where: `${name}: the hook "${kind}"`, error });
          // A failed `after` must not throw: uvu would run it twice or lose the tests' own failures.
          if (rethrow) throw error;
        }
      });
  };

  const test: Test = Object.assign(
    (title: string, body: Body, limits: Limits = {}) => {
      const where = `${name}: ${title}`;
      if (waiting.has(where)) throw new Error(`two tests are called "${where}": give each its own name`);
      waiting.set(where, "the test never ran");
      seen += 1;
      target(title, async () => {
        waiting.set(where, "the process ended during this test");
        try {
          await within(limits.limit_ms ?? limit_ms, body);
          account.passed += 1;
        } catch (thrown) {
          const error = asError(thrown);
          account.failures.push({ where, error, shown: true });
          throw error;
        } finally {
          waiting.delete(where);
        }
      });
    },
    {
      skip(title: string, reason: string) {
        if (reason.trim() === "") throw new Error(`"${name}: ${title}" is skipped without a reason: say why`);
        seen += 1;
        account.skips.push({ where: `${name}: ${title}`, reason });
        target.skip(title);
      },
      before: Object.assign(hook("before", target.before, true), {
        each: hook("before.each", target.before.each, true),
      }),
      after: Object.assign(hook("after", target.after, false), {
        each: hook("after.each", target.after.each, false),
      }),
    },
  );

  try {
    const given: unknown = declared.define(test);
    if (given instanceof Promise)
      throw new Error("define must not be async: put what has to wait in test.before");
    if (seen === 0) throw new Error("the suite has no tests");
  } catch (thrown) {
    account.failures.push({ where: `${name}: its definition`, error: asError(thrown) });
  }
  target.run();
  return () => {
    for (const [where, what] of waiting) account.failures.push({ where, error: new Error(what) });
    waiting.clear();
  };
}

/** Runs a body; rejects when it takes longer than `limit_ms`. A body that blocks the loop is the runner's to kill. */
async function within(limit_ms: number, body: Body): Promise<void> {
  const lifetime = new AbortController();
  let clear = () => {};
  const late = new Promise<never>((_, reject) => {
    ({ clear } = whenOver(limit_ms, (factor) => {
      const slow = `times ${factor.toFixed(1)}, for a machine as slow as this is now`;
      reject(new Error(`took longer than its limit of ${limit_ms} ms, ${slow}`));
    }));
  });
  try {
    await Promise.race([body({ signal: lifetime.signal }), late]);
  } finally {
    clear();
    lifetime.abort();
  }
}

/** Calls when the limit is over, times three and times how slow the machine is then. */
function whenOver(limit_ms: number, act: (factor: number) => void): { clear(): void; unref(): void } {
  let timer = setTimeout(() => {
    const factor = patienceNow();
    // Also on a fast machine by way of the loop: it may be done meanwhile.
    timer = setTimeout(() => act(factor), limit_ms * (factor - LEAST_PATIENCE));
    if (!referenced) timer.unref();
  }, limit_ms * LEAST_PATIENCE);
  let referenced = true;
  return {
    clear: () => clearTimeout(timer),
    unref() {
      referenced = false;
      timer.unref();
    },
  };
}

// limit: 120 s
/**
 * The runner and the guarded suite, tried on a small tree of their own: each way in which a test file can go wrong
 * must be seen, counted and named. One run for all of them, because the hanging file takes its twelve seconds.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { suite } from "../../kit/suite.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

const head = 'import { suite } from "../kit/suite.ts";\nimport * as assert from "uvu/assert";\n';

/** Waits for the other lane's: both run at once. */
const story = `${head}import { existsSync, writeFileSync } from "node:fs";
  const lane = process.env.MUSTER_TEST_LANE;
  suite("story", (test) => { test("has its lab, and the other lane runs too", async () => {
    assert.is(process.env["LAB" + lane], "is up");
    console.log("\\n#measured lane " + lane);
    writeFileSync("lane-" + lane, "");
    while (!existsSync("lane-" + (lane === "1" ? "2" : "1"))) await new Promise((resolve) => setTimeout(resolve, 20));
  }); });`;

const files: Record<string, string> = {
  "unit/right.test.ts": `${head}suite("right", (test) => {
    test("passes", () => assert.ok(import.meta.url.endsWith("/test/unit/right.test.ts")));
    test("ends its lifetime", ({ signal }) => { setInterval(() => {}, 50).unref(); assert.not(signal.aborted); });
    test.skip("later", "needs a  router");
  });`,
  "unit/wrong.test.ts": `${head}suite("wrong", (test) => {
    test("compares", () => assert.is(1, 2));
    test("throws text", () => { throw "only text"; });
    test("has a cause", () => { throw new Error("outer", { cause: new Error("the inner cause") }); });
    test("is slow", () => new Promise(() => {}), { limit_ms: 50 });
    test("passes", () => {});
  });`,
  "unit/before.test.ts": `${head}suite("first", (test) => {
    test.before(() => { throw new Error("no server"); });
    test("never runs", () => {});
  });`,
  "unit/after.test.ts": `${head}suite("last", (test) => {
    test.after(() => { throw new Error("does not stop"); });
    test("passes", () => {});
  });`,
  "unit/slow-hook.test.ts": `${head}suite("slow hook", (test) => {
    test.after.each(() => new Promise(() => {}));
    test("passes", () => {});
  }, { limit_ms: 50 });`,
  "unit/zero.test.ts": `${head}suite("zero", () => {});`,
  "unit/async.test.ts": `${head}suite("async", async (test) => { test("passes", () => {}); });`,
  "unit/no-reason.test.ts": `${head}suite("no reason", (test) => { test.skip("later", " "); });`,
  "unit/silent.test.ts": "export {};",
  "unit/exit.test.ts": `${head}suite("exit", (test) => { test("leaves", () => process.exit(0)); });`,
  "unit/stray.test.ts": `${head}suite("stray", (test) => {
    test("passes", async () => { Promise.reject(new Error("nobody waits")); });
  });`,
  "unit/thrown.test.ts": `${head}suite("thrown", (test) => { test("passes", () => {}); });\nthrow new Error("at the top");`,
  "unit/hang.test.ts": `${head}suite("hang", (test) => { test("passes", () => { setInterval(() => {}, 1000); }); });`,
  "unit/block.test.ts": `// limit: 2 s\n${head}suite("block", (test) => { test("blocks", function spin() { for (;;) {} }); });`,
  "unit/syntax.test.ts": 'import { nothing } from "./nowhere.ts";\nnothing();',
  "unit/orphan.test.ts": `${head}import { spawn } from "node:child_process";
  suite("orphan", (test) => { test("leaves", () => { spawn("sleep", ["100"], { stdio: "ignore" }).unref(); }); });`,
  "security/attack.test.ts": `${head}suite("attack", (test) => { test("is refused, with no lab", () => {
    assert.is(process.env.LAB1, undefined);
  }); });`,
  "e2e/setup.ts": `export async function up(lane) { process.env["LAB" + lane] = "is up"; setInterval(() => {}, 1000); }
    export async function down(lane) { console.log("the lab of lane " + lane + " is down"); }`,
  "e2e/story.test.ts": story,
  "e2e/other.test.ts": story,
  "e2e/third.test.ts": story,
  "e2e/figures.test.ts": `// lane: last\n${head}import { existsSync } from "node:fs";
  suite("figures", (test) => { test("all others are done", () => {
    assert.is(process.env.MUSTER_TEST_LANE, "1");
    for (const file of ["lane-1", "lane-2", "long"]) assert.ok(existsSync(file), file);
  }); });`,
  "e2e/long.test.ts": `// lane: own\n${head}import { writeFileSync } from "node:fs";
  suite("long", (test) => { test("has a lane to itself", async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    writeFileSync("long", "");
    assert.equal([process.env.MUSTER_TEST_LANE, process.env.LAB4], ["4", "is up"]);
  }); });`,
};

/** What each wrong file's report has to hold. */
const expected: Record<string, { counts: string; says: string[] }> = {
  "unit/wrong": { counts: "1 passed, 4 failed", says: ["only text", "the inner cause", "limit of 50 ms"] },
  "unit/before": {
    counts: "0 passed, 2 failed",
    says: ['first: the hook "before"', "no server", "never ran"],
  },
  "unit/after": { counts: "1 passed, 1 failed", says: ['last: the hook "after"', "does not stop"] },
  "unit/slow-hook": {
    counts: "1 passed, 1 failed",
    says: ['slow hook: the hook "after.each"', "limit of 50 ms"],
  },
  "unit/zero": { counts: "0 passed, 1 failed", says: ["the suite has no tests"] },
  "unit/async": { counts: "1 passed, 1 failed", says: ["define must not be async"] },
  "unit/no-reason": { counts: "0 passed, 1 failed", says: ["is skipped without a reason"] },
  "unit/silent": { counts: "0 passed, 1 failed", says: ["without a result line, with exit code 0"] },
  "unit/exit": { counts: "0 passed, 1 failed", says: ["leaves", "the process ended during this test"] },
  "unit/stray": { counts: "1 passed, 1 failed", says: ["nobody handled it", "nobody waits"] },
  "unit/thrown": { counts: "1 passed, 1 failed", says: ["outside of any test", "at the top"] },
  "unit/hang": { counts: "1 passed, 1 failed", says: ["s after the last test", "Timeout"] },
  "unit/block": {
    counts: "0 passed, 1 failed",
    says: ["killed at its limit of 2 s", "its loop stands still:", "at spin "],
  },
  "unit/syntax": { counts: "0 passed, 1 failed", says: ["does not bundle", "./nowhere.ts"] },
  "unit/orphan": { counts: "1 passed, 1 failed", says: ["left processes behind: sleep"] },
};

/** In the place of the lab, whose servers the runner has made before any test. */
const lab: Record<string, string> = {
  "fleet.mjs": "export const prepare = async () => {};",
  "progress.mjs": "export const createProgress = () => ({});",
  "programs.mjs": "export const ensurePrograms = async () => {};",
  "tools.mjs": "export const ensureTools = async () => {};",
};

/** A folder with the real runner and kit, the given test files, and the installed libraries by a link. */
function makeTree(): string {
  const folder = mkdtempSync(join(tmpdir(), "muster-runner-"));
  for (const part of ["package.json", "package-lock.json", "scripts", "test/run.mjs", "test/kit"]) {
    cpSync(join(root, part), join(folder, part), { recursive: true });
  }
  mkdirSync(join(folder, "deploy/lab"), { recursive: true });
  for (const [name, text] of Object.entries(lab)) writeFileSync(join(folder, "deploy/lab", name), text);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, "test", path)), { recursive: true });
    writeFileSync(join(folder, "test", path), text);
  }
  return folder;
}

async function runIn(folder: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ["test/run.mjs", ...args], { cwd: folder });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}

suite(
  "runner",
  (test) => {
    let folder = "";
    let all = { code: null as number | null, output: "" };
    test.before(async () => {
      folder = makeTree();
      all = await runIn(folder);
    });
    test.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));

    /** The part of the output that belongs to one file: its line and what is indented below. */
    const reportOf = (file: string) =>
      new RegExp(`^  \\S+ +test/${file}\\.test\\.ts  .*\\n((?: {8}.*)?\\n)*`, "m").exec(all.output)?.[0] ??
      "";

    for (const [file, { counts, says }] of Object.entries(expected)) {
      test(`sees what is wrong with ${file}`, () => {
        const report = reportOf(file);
        assert.match(report, `FAIL  test/${file}.test.ts  ${counts}`);
        for (const text of says) assert.match(report, text);
      });
    }

    test("passes a right file, without its output", () => {
      assert.match(reportOf("unit/right"), /^ {2}ok +\S+ {2}2 passed, 1 skipped {2}[\d.]+ s\n$/);
    });

    test("runs the attacks without a lab, whose servers come up for the first story of a lane", () => {
      assert.match(all.output, /^ {2}ok +test\/security\/attack\.test\.ts {2}1 passed/m);
      assert.is(all.output.split("the servers come up\n").length - 1, 3);
    });

    test("runs the stories between up and down, two at a time, each with a lab of its own", () => {
      for (const file of ["e2e/story", "e2e/other", "e2e/third", "e2e/long", "e2e/figures"])
        assert.match(reportOf(file), "1 passed");
      const lanes = [...all.output.matchAll(/measured {2}lane (\d)/g)].map((match) => match[1]);
      assert.equal([...new Set(lanes)].sort(), ["1", "2"]);
      for (const lane of ["1", "2", "4"])
        assert.match(
          all.output,
          new RegExp(`story\\.test\\.ts {2}1 passed[\\s\\S]*the lab of lane ${lane} is down`),
        );
    });

    test("starts what waits for many minutes with the unit tests", () => {
      assert.match(all.output, /… {5}test\/e2e\/long\.test\.ts[\s\S]*test\/unit\/right\.test\.ts/);
    });

    test("prints each skip's reason, ends with the time and the counts, exits 1", () => {
      assert.match(all.output, "skipped  test/unit/right.test.ts: right: later: needs a router\n");
      assert.match(all.output, /\nall of it took [\d.]+ s\n16 passed, 19 failed, 1 skipped\n$/);
      assert.is(all.code, 1);
    });

    test("exits 0 when what was asked for passes", async () => {
      const { code, output } = await runIn(folder, "right");
      assert.match(output, /\n2 passed, 0 failed, 1 skipped\n$/);
      assert.is(code, 0);
    });

    test("exits 1 when nothing ran", async () => {
      const { code, output } = await runIn(folder, "e2e", "no-such-file");
      assert.match(output, /\nnothing ran\n0 passed, 0 failed\n$/);
      assert.is(code, 1);
    });

    test("refuses an unknown option", async () => {
      const { code, output } = await runIn(folder, "--bail");
      assert.match(output, "unknown option --bail");
      assert.is(code, 2);
    });
  },
  { limit_ms: 100_000 },
);

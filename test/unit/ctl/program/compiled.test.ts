/** The compiled form of ctl: taken when it fits and is one's own, thrown away otherwise, and never the reason why a command fails. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { compile, learn } from "../../../../packages/ctl/src/program/compiled.ts";
import { temporaryDirectory } from "../../../kit/child.ts";
import { suite } from "../../../kit/suite.ts";

const source = "(function () { return (function later() { return 42; })(); })";
const PROGRAM = "dist/ctl/ctl.cjs";

suite("the compiled form of ctl", (test) => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let file = "";
  test.before(async () => {
    directory = await temporaryDirectory("compiled");
    file = join(directory.path, "below", "ctl-0123456789abcdef-v20.0.0");
  });
  test.after(() => directory.release());

  /** One run: how much had been learned before it, and what the program answers. */
  const run = (text = source) => {
    const compiled = compile(text, "program.js", file);
    const answer = compiled.script.runInThisContext()();
    learn(compiled, file);
    return [compiled.runs, answer];
  };

  test("found by the next run, better for the first eight, then left alone", () => {
    const seen = Array.from({ length: 10 }, () => run());
    assert.equal(
      seen.map(([runs]) => runs),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 8],
    );
    assert.ok(seen.every(([, answer]) => answer === 42));
    assert.is(statSync(file).mode & 0o777, 0o600);
    assert.is(statSync(join(file, "..")).mode & 0o777, 0o700);
  });

  test("one that is used is not among the oldest, which go first", () => {
    for (let at = 0; at < 9; at++) run();
    utimesSync(file, 1, 1);
    assert.is(run()[0], 8);
    assert.ok(statSync(file).mtimeMs > 1_000_000);
  });

  test("one that others can write, that is damaged or empty is not run", () => {
    for (const spoil of [
      () => chmodSync(file, 0o660),
      () => writeFileSync(file, readFileSync(file).fill(7, 100, 110)),
      () => writeFileSync(file, ""),
    ]) {
      run();
      assert.is.not(run()[0], 0);
      spoil();
      assert.equal(run(), [0, 42]);
    }
  });

  test("a program that changed is compiled anew", () => {
    run();
    assert.equal(run(`${source.slice(0, -1)} /* more */)`), [0, 42]);
  });

  test("a directory that cannot be made costs nothing but time", () => {
    writeFileSync(join(directory.path, "occupied"), "");
    const lost = join(directory.path, "occupied", "form");
    const compiled = compile(source, "program.js", lost);
    learn(compiled, lost);
    assert.not(existsSync(lost));
  });

  test("the built ctl keeps its form in the cache directory, and few of others", () => {
    const cache = join(directory.path, "cache");
    const run_ctl = (...words: string[]) =>
      spawnSync(process.execPath, [PROGRAM, ...words], {
        env: { ...process.env, XDG_CACHE_HOME: cache },
        encoding: "utf8",
      });
    const version = () => run_ctl("--version");
    const first = version();
    assert.equal([first.status, first.stderr], [0, ""]);
    const [own = "", ...none] = readdirSync(join(cache, "muster"));
    assert.match(own, /^ctl-[0-9a-f]{16}-v[\d.]+-other$/);
    assert.equal(none, []);
    assert.is(run_ctl("-y", "completion", "bash").status, 0);
    assert.ok(existsSync(join(cache, "muster", own.replace(/other$/, "completion"))));
    for (let n = 10; n < 50; n++) {
      const other = join(cache, "muster", `ctl-00000000000000${n}-v20.0.0-apply`);
      writeFileSync(other, "");
      utimesSync(other, n, n);
    }
    chmodSync(join(cache, "muster", own), 0o666);
    assert.is(version().stdout, first.stdout);
    const left = readdirSync(join(cache, "muster"));
    assert.is(left.length, 32);
    assert.ok(left.includes(own));
  });
});

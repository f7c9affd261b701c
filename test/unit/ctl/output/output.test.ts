/** What a person sees: tables, times, numbers, colours, questions. */
import { Readable, Writable } from "node:stream";
import * as assert from "uvu/assert";
import { openColour } from "../../../../packages/ctl/src/output/colour.ts";
import { type OutputForm, openOutput } from "../../../../packages/ctl/src/output/output.ts";
import { tableLines, widthOf } from "../../../../packages/ctl/src/output/table.ts";
import {
  durationText,
  listText,
  numberText,
  readDuration,
} from "../../../../packages/ctl/src/output/words.ts";
import { suite } from "../../../kit/suite.ts";

type Row = { name: string; count: number };
const columns = [
  { title: "HOST", value: (row: Row) => row.name },
  { title: "N", value: (row: Row) => String(row.count), align: "right" as const },
  { title: "KEY", value: (row: Row) => `U${row.name}`, wide: true as const },
];

suite("ctl output: text", (test) => {
  test("aligns columns and cuts the space at the end", () => {
    const rows = [
      { name: "core1", count: 7 },
      { name: "ix", count: 1234 },
    ];
    assert.equal(tableLines(rows, columns), ["HOST      N", "core1     7", "ix     1234"]);
    assert.equal(tableLines(rows, columns, true)[1], "core1     7  Ucore1");
    assert.equal(tableLines([], columns), ["HOST  N"]);
  });

  test("colours and odd letters do not shift a column, and a row stays a line", () => {
    const { red } = openColour(true);
    assert.is(widthOf(red("down")), 4);
    assert.is(widthOf("日本"), 4);
    assert.is(widthOf("e\u0301"), 1);
    assert.equal(tableLines([{ name: "a\n b", count: 1 }], columns)[1], "a b   1");
  });

  test("says times in two units", () => {
    const cases: [number, string][] = [
      [0, "0 ms"],
      [999, "999 ms"],
      [1_450, "1.4 s"],
      [2_000, "2 s"],
      [61_000, "1 min 1 s"],
      [11_520_000, "3 h 12 min"],
      [86_400_000, "1 d"],
      [3 * 86_400_000 + 7_200_000, "3 d 2 h"],
      [41 * 86_400_000 + 7_200_000, "41 d"],
      [-5, "0 ms"],
    ];
    for (const [duration_ms, text] of cases) assert.is(durationText(duration_ms), text);
  });

  test("reads times, and nothing that is none", () => {
    assert.is(readDuration("15m"), 900_000);
    assert.is(readDuration("24h"), 86_400_000);
    assert.is(readDuration("30d"), 2_592_000_000);
    assert.is(readDuration("90 s"), 90_000);
    for (const odd of ["", "15", "m", "-1h", "1w", "1.5h", "1h30m"])
      assert.is(readDuration(odd), undefined, odd);
  });

  test("separates thousands and shortens lists", () => {
    assert.is(numberText(182301), "182,301");
    assert.is(numberText(-1234567), "-1,234,567");
    assert.is(numberText(999), "999");
    assert.is(numberText(1234.5678), "1,234.5678");
    assert.is(listText(["a", "b", "c"], 2), "a, b and 1 more");
  });
});

function terminal(form: OutputForm, answers: string[] | null, options: { yes?: boolean } = {}) {
  const written = { out: "", err: "" };
  const into = (name: "out" | "err", tty: boolean) =>
    Object.assign(
      new Writable({
        write(chunk, _encoding, done) {
          written[name] += String(chunk);
          done();
        },
      }),
      { isTTY: tty },
    );
  const stdin = Object.assign(Readable.from((answers ?? []).map((line) => `${line}\n`)), {
    isTTY: answers !== null,
    setRawMode: () => stdin,
  });
  const output = openOutput(
    { stdin, stdout: into("out", false), stderr: into("err", answers !== null) },
    { form, yes: options.yes ?? false, no_color: false },
  );
  return { output, written };
}

suite("ctl output: questions and streams", (test) => {
  test("keeps standard output to one JSON value", () => {
    const { output, written } = terminal("json", null);
    output.begin("lab", "alice");
    output.line("a line");
    output.table([{ name: "x", count: 1 }], columns);
    output.json({ a: 1 });
    assert.equal(JSON.parse(written.out), { a: 1 });
    assert.is(written.err, "lab · alice\n");
  });

  test("takes y for yes and everything else for no", async () => {
    assert.is(await terminal("table", ["y"]).output.confirm("Go?"), true);
    for (const no of ["", "n", "yep", "Y E S"])
      assert.is(await terminal("table", [no]).output.confirm("Go?"), false, no);
  });

  test("-y answers a question, but not one for a word", async () => {
    assert.is(await terminal("table", null, { yes: true }).output.confirm("Go?"), true);
    assert.is(await terminal("table", ["ixp1"], { yes: true }).output.confirmTyped("Go?", "ixp1"), true);
    assert.is(await terminal("table", ["y"], { yes: true }).output.confirmTyped("Go?", "ixp1"), false);
  });

  test("does not wait for anybody where nobody is", async () => {
    for (const ask of [
      (output: ReturnType<typeof terminal>["output"]) => output.confirm("Go?"),
      (output: ReturnType<typeof terminal>["output"]) => output.password("password"),
    ]) {
      try {
        await ask(terminal("table", null).output);
        assert.unreachable();
      } catch (error) {
        assert.match(String(error), /nobody is there to answer/);
      }
    }
  });

  test("shows nothing of a password", async () => {
    const { output, written } = terminal("table", ["hunter2"]);
    assert.is(await output.password("password"), "hunter2");
    assert.is(written.err.includes("hunter2"), false);
    assert.is(written.out, "");
  });
});

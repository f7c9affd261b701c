/** Entries of the journal as lines, and how journalctl is asked. */
import { journalArguments, journalEntry } from "@muster/agent/journal";
import { lineSplitter } from "@muster/agent/ports/lines";
import * as assert from "uvu/assert";
import { suite } from "../../../kit/suite.ts";

const entryOf = (text: string) => journalEntry(text).line;

suite("logs", (test) => {
  test("an entry becomes a line", () => {
    const entry = {
      __REALTIME_TIMESTAMP: "1764086400123456",
      MESSAGE: "Started BIRD.\n",
      PRIORITY: "6",
      SYSLOG_IDENTIFIER: "systemd",
    };
    assert.equal(entryOf(JSON.stringify(entry)), {
      at: 1_764_086_400_123,
      from: "systemd",
      priority: "info",
      text: "Started BIRD.",
      cut: false,
    });
    const bytes = { ...entry, MESSAGE: [...Buffer.from("caf\u00e9 \u001b[31m")], PRIORITY: undefined };
    assert.equal(
      [entryOf(JSON.stringify(bytes)).text, entryOf(JSON.stringify(bytes)).priority],
      ["caf\u00e9 \u001b[31m", null],
    );
    assert.is(entryOf(JSON.stringify({ ...entry, MESSAGE: ["one", "two"] })).text, "one two");
    assert.is(entryOf(JSON.stringify({ ...entry, MESSAGE: null })).text, "");
    const long = entryOf(JSON.stringify({ ...entry, MESSAGE: "x".repeat(10_000) }));
    assert.equal([long.text.length, long.cut], [8_192, true]);
  });

  test("an entry that is too long or no JSON is shown as what it is, with its time", () => {
    const split = lineSplitter(100);
    const huge = `{"__REALTIME_TIMESTAMP":"1764086400123456","MESSAGE":"${"x".repeat(500)}"}`;
    const lines = [
      ...split(huge.slice(0, 80)),
      ...split(huge.slice(80)),
      ...split("\nnext\nhalf"),
      ...split("\n"),
    ];
    assert.equal(lines.slice(1), ["next", "half"]);
    const shown = entryOf(lines[0] ?? "");
    assert.equal([shown.at, shown.cut], [1_764_086_400_123, true]);
    assert.match(shown.text, /cannot be read/);
  });

  test("journalctl gets every wish as one word", () => {
    const all = journalArguments({
      units: ["bird.service", "ssh.service"],
      follow: true,
      since: 1_764_086_400_500,
      last: 5,
      grep: "--output=cat; rm -rf /",
      priority: "err",
    });
    assert.equal(all.slice(5), [
      "--lines=5",
      "--follow",
      "--unit=bird.service",
      "--unit=ssh.service",
      "--since=@1764086400.500",
      "--grep=--output=cat; rm -rf /",
      "--case-sensitive=yes",
      "--priority=err",
    ]);
  });
});

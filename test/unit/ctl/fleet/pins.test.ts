/** hosts.lock: first use, a changed key, and what people do to the file. */

import { createNkey } from "@muster/protocol/nkey";
import * as assert from "uvu/assert";
import { checkPins, parsePins, printPins } from "../../../../packages/ctl/src/fleet/pins.ts";
import { suite } from "../../../kit/suite.ts";

const [one, other, third] = [createNkey("user").public, createNkey("user").public, createNkey("user").public];

function refusal(run: () => unknown): Error & { next?: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("it was not refused");
}

suite("ctl: pins", (test) => {
  test("a file comes back as it was written, one sorted line an entry", () => {
    const text = printPins(
      new Map([
        ["ixp1", other],
        ["core1", one],
      ]),
    );
    assert.is(text.split("\n").slice(1).join("\n"), `core1 ${one}\nixp1 ${other}\n`);
    assert.equal(
      [...parsePins(text)],
      [
        ["core1", one],
        ["ixp1", other],
      ],
    );
    assert.is(parsePins("").size, 0);
  });

  test("names every bad line", () => {
    const text = `core1 ${one}\n<<<<<<< HEAD\nixp1 nokey\ncore1 ${other}\nIXP ${third}\n`;
    const error = refusal(() => parsePins(text));
    for (const line of [2, 3, 4, 5]) assert.match(error.message, new RegExp(`hosts.lock:${line}:`));
  });

  test("takes a new name and shows it as seen for the first time", () => {
    const { pins, first } = checkPins(
      new Map([["core1", one]]),
      new Map([
        ["core1", one],
        ["ixp1", other],
      ]),
    );
    assert.equal(first, [{ name: "ixp1", id: other }]);
    assert.equal(
      [...pins],
      [
        ["core1", one],
        ["ixp1", other],
      ],
    );
  });

  test("refuses another key under a pinned name, and says what to type", () => {
    const error = refusal(() => checkPins(new Map([["core1", one]]), new Map([["core1", other]])));
    assert.match(error.message, /core1 has another key/);
    assert.match(error.next ?? "", /ctl host replace core1/);
  });

  test("refuses one key under two names", () => {
    assert.match(
      refusal(() => checkPins(new Map([["core1", one]]), new Map([["ixp1", one]]))).message,
      /keeps for core1/,
    );
    assert.match(
      refusal(() =>
        checkPins(
          new Map(),
          new Map([
            ["a", one],
            ["b", one],
          ]),
        ),
      ).message,
      /for a/,
    );
  });
});

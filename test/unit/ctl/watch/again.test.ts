/** Asking again: one question at a time, once for many who want it, and never with an answer of before. */
import * as assert from "uvu/assert";
import { Again } from "../../../../packages/ctl/src/watch/again.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";

/** Longer than any test: what comes is not the timer's. */
const NEVER_MS = 600_000;

suite("asking again", (test) => {
  /** Each question waits until it is answered. */
  const asked = (rest_ms: number) => {
    const answers: (() => void)[] = [];
    const errors: unknown[] = [];
    const ask = () => new Promise<void>((resolve) => answers.push(resolve));
    const again = new Again(ask, rest_ms, (error) => errors.push(error));
    return { again, answers, errors };
  };

  test("what is told while an answer is waited for is asked once more after it, and no more than once", async () => {
    const { again, answers } = asked(NEVER_MS);
    for (let at = 0; at < 5; at++) again.now();
    assert.is(answers.length, 1);
    answers[0]?.();
    await eventually(() => assert.is(answers.length, 2), 5_000);
    answers[1]?.();
    await new Promise((resolve) => setImmediate(resolve));
    assert.is(answers.length, 2);
    again.now();
    assert.is(answers.length, 3);
    again.end();
  });

  test("many who have time are answered by one question, which asking at once takes the place of", async () => {
    const { again, answers } = asked(5);
    for (let at = 0; at < 100; at++) again.soon();
    assert.is(answers.length, 0);
    await eventually(() => assert.is(answers.length, 1), 5_000);
    answers[0]?.();
    const late = asked(NEVER_MS);
    late.again.soon();
    late.again.now();
    assert.is(late.answers.length, 1);
    // Else the test would not end before the timer.
    late.again.end();
  });

  test("an error is heard, and what comes after the end is not asked", async () => {
    const errors: string[] = [];
    let asks = 0;
    const again = new Again(
      () => Promise.reject(new Error(`no ${++asks}`)),
      NEVER_MS,
      (error) => errors.push((error as Error).message),
    );
    again.now();
    await eventually(() => assert.equal(errors, ["no 1"]), 5_000);
    await new Promise((resolve) => setImmediate(resolve));
    again.now();
    await eventually(() => assert.equal(errors, ["no 1", "no 2"]), 5_000);
    again.end();
    again.now();
    again.soon();
    assert.is(asks, 2);
  });
});

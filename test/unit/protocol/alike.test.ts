/** Work that is done once for what is alike: once, never for something else, and again for what failed. */
import * as assert from "uvu/assert";
import { alike } from "../../../packages/protocol/src/alike.ts";
import { suite } from "../../kit/suite.ts";

suite("alike", (test) => {
  test("equal values share one result, other ones do not, and no more than some are kept", () => {
    let worked = 0;
    const size = alike((value: { of: unknown[] }) => {
      worked += 1;
      return { size: value.of.length };
    });
    const first = size({ of: [1] });
    assert.is(size({ of: [1] }), first);
    assert.equal(size({ of: ["1"] }), { size: 1 });
    assert.is(worked, 2);
    for (let many = 0; many < 1_000; many++) assert.equal(size({ of: [many, many] }), { size: 2 });
    assert.equal(size({ of: [1] }), first);
    assert.is(worked, 1_003);
    const large = { of: ["x".repeat(3 * 1024 * 1024)] };
    assert.is(size(large), size(large));
    assert.is.not(size({ of: [1] }), first);
    assert.is.not(size({ of: [large] }), size(large));
    assert.is(worked, 1_006);
  });

  test("what it throws is not remembered", () => {
    let good = false;
    const work = alike((value: object) => {
      if (!good) throw new Error("not yet");
      return value;
    });
    assert.throws(() => work({}), "not yet");
    good = true;
    assert.equal(work({}), {});
  });
});

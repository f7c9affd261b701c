/** What is sealed, against the maker's library: each opens what the other sealed; what was altered, and for another key, opens for nobody. */
import { createCurvePair, openSealed, sealTo } from "@muster/protocol";
import { encodePublic } from "@muster/protocol/nkey";
import { createCurve, fromCurveSeed } from "nkeys.js";
import * as assert from "uvu/assert";
import { outcome } from "../../kit/outcome.ts";
import { suite } from "../../kit/suite.ts";

suite("sealed", (test) => {
  const ours = createCurvePair();
  const theirs = createCurve();
  const data = Buffer.from("x".repeat(5_000));
  const code = (work: () => unknown) => outcome(Promise.resolve().then(work));

  test("the library reads our seed, opens what we seal, and we what it seals", () => {
    const read = fromCurveSeed(Buffer.from(ours.seed));
    assert.is(read.getPublicKey(), ours.public);
    const to = theirs.getPublicKey();
    assert.equal(Buffer.from(theirs.open(Buffer.from(sealTo(to, data, ours)), ours.public) ?? []), data);
    assert.equal(Buffer.from(openSealed(to, theirs.seal(data, ours.public), ours)), data);
    const pair = { public: to, seed: Buffer.from(theirs.getSeed()).toString() };
    assert.equal(Buffer.from(openSealed(ours.public, sealTo(to, data, ours), pair)), data);
    assert.is(openSealed(ours.public, sealTo(to, new Uint8Array(), ours), pair).length, 0);
  });

  test("altered, cut, for another or from another opens for nobody", async () => {
    const other = createCurvePair();
    const box = sealTo(other.public, data, ours);
    for (const at of [0, 4, 28, 44, box.length - 1]) {
      const altered = Buffer.from(box);
      altered[at] = (altered[at] ?? 0) ^ 1;
      assert.is(await code(() => openSealed(ours.public, altered, other)), "BAD_SIGNATURE", `byte ${at}`);
    }
    for (const cut of [box.subarray(0, 28), box.subarray(0, -1), new Uint8Array()])
      assert.is(await code(() => openSealed(ours.public, cut, other)), "BAD_SIGNATURE");
    assert.is(await code(() => openSealed(ours.public, box, ours)), "BAD_SIGNATURE");
    assert.is(await code(() => openSealed(other.public, box, other)), "BAD_SIGNATURE");
  });

  test("a key that is none, and one that shares nothing, is refused", async () => {
    // The points of small order: whoever offers one knows the shared key.
    const small = [0, 1].map((first) => encodePublic("curve", Buffer.from([first, ...Buffer.alloc(31)])));
    for (const to of ["", "XABC", createCurvePair().seed, ...small])
      assert.is(await code(() => sealTo(to, data, ours)), "INVALID", to);
    for (const from of small)
      assert.is(await code(() => openSealed(from, sealTo(ours.public, data, ours), ours)), "BAD_SIGNATURE");
  });
});

/** Our nkeys against the maker's library: same names, same signatures, damage refused. */
import { fromPublic, fromSeed } from "nkeys.js";
import * as assert from "uvu/assert";
import {
  createNkey,
  decodePublic,
  encodePublic,
  nkeyFromSeed,
  signEd25519,
} from "../../../packages/protocol/src/nkey.ts";
import { suite } from "../../kit/suite.ts";

suite("nkey", (test) => {
  for (const kind of ["operator", "account", "user"] as const) {
    test(`${kind}: the library reads our seed and verifies our signature`, () => {
      const ours = createNkey(kind);
      const theirs = fromSeed(Buffer.from(ours.seed));
      assert.is(theirs.getPublicKey(), ours.public);
      const data = Buffer.from("some bytes");
      assert.equal(Buffer.from(theirs.sign(data)), signEd25519(ours.key, data));
      assert.ok(fromPublic(ours.public).verify(data, signEd25519(ours.key, data)));
      assert.is(encodePublic(kind, decodePublic(kind, ours.public)), ours.public);
    });
  }

  test("a damaged or foreign key is refused", () => {
    const { public: name, seed } = createNkey("user");
    const damaged = `${name.slice(0, 10)}${name[10] === "A" ? "B" : "A"}${name.slice(11)}`;
    assert.throws(() => decodePublic("user", damaged), /checksum/);
    assert.throws(() => decodePublic("account", name), /not a public account/);
    assert.throws(() => nkeyFromSeed(seed.slice(0, -1)), /./);
    assert.throws(() => nkeyFromSeed(name), /not an nkey seed/);
    assert.throws(() => decodePublic("user", "not base32!"), /base32/);
  });
});

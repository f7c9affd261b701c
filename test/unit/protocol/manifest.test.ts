/** Manifests, plans and resources: what a host may be told, and that nothing else gets through the schemas. */
import canonicalizeOther from "canonicalize";
import * as assert from "uvu/assert";
import {
  CertificateReader,
  canonicalize,
  createNkey,
  DEFAULT_SWITCHES,
  FleetError,
  hashOfContent,
  type Manifest,
  manifestReader,
  manifestsReader,
  openManifest,
  parse,
  planIndex,
  Resource,
  type Step,
  seal,
  splitRef,
  subjects,
  type Verifier,
} from "../../../packages/protocol/src/index.ts";
import { PeopleCa, type Person } from "../../kit/people.ts";
import { suite } from "../../kit/suite.ts";

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof FleetError) return error.code;
    throw error;
  }
  return "taken";
};

suite("manifest", (test) => {
  const id = createNkey("user").public;
  const target = { fleet: "as64500", id };
  let alice: Person;
  let verifier: Verifier;
  const motd = { kind: "file", name: "/etc/motd", spec: { content: "hello\n" }, needs: [] };

  const make = (resources: unknown[], over: Partial<Manifest> = {}): Manifest => {
    const content = {
      groups: ["ixp"],
      labels: {},
      resources: resources.map((each) => Resource.parse(each)),
      switches: DEFAULT_SWITCHES,
    };
    return {
      v: 1,
      fleet: "as64500",
      host: "ixp1",
      id,
      generation: 4,
      release: { id: "0".repeat(32), return_to: null, not_after: Date.now() },
      content,
      content_hash: hashOfContent(content),
      intent: { message: "", plan_index: null, overwrite: [], force: false, within_ms: null },
      rolled_back: {},
      ...over,
    };
  };
  const sealed = (manifest: unknown, subject = subjects.desired(id)) =>
    seal(subject, Buffer.from(JSON.stringify(manifest)), alice, Date.now());

  test.before(async () => {
    const operators = await PeopleCa.make("operators");
    alice = await operators.person("alice", "operator");
    verifier = {
      certificates: new CertificateReader({ operators: [operators.pem], controllers: [] }),
      voided: () => false,
    };
  });

  test("a good one opens with defaults filled in", () => {
    const opened = openManifest(sealed(make([motd])), target, verifier);
    assert.is(opened.by, "alice");
    assert.equal(opened.manifest.content.resources[0]?.spec, {
      content: "hello\n",
      owner: "root",
      group: "root",
      mode: "0644",
    });
  });

  test("for another host, altered, twice the same resource, too large: refused", () => {
    const other = createNkey("user").public;
    assert.is(
      code(() => openManifest(sealed(make([motd])), { fleet: "as64500", id: other }, verifier)),
      "BAD_SIGNATURE",
    );
    assert.is(
      code(() => openManifest(sealed(make([motd], { id: other })), target, verifier)),
      "WRONG_TARGET",
    );
    assert.is(
      code(() => openManifest(sealed(make([motd], { content_hash: "0".repeat(64) })), target, verifier)),
      "ALTERED",
    );
    assert.is(
      code(() => openManifest(sealed(make([motd, motd])), target, verifier)),
      "INVALID",
    );
    assert.is(
      code(() => openManifest(sealed({ ...make([motd]), extra: 1 }), target, verifier)),
      "INVALID",
    );
    const large = { headers: sealed(make([motd])).headers, body: Buffer.alloc(1024 * 1024) };
    assert.is(
      code(() => openManifest(large, target, verifier)),
      "TOO_LARGE",
    );
  });

  test("read with others: the same is opened, altered and refused in the same words as alone", () => {
    const read = manifestsReader();
    const passwd = { ...motd, name: "/etc/passwd" };
    const host2 = createNkey("user").public;
    const good = openManifest(sealed(make([motd])), target, verifier, read).manifest;
    const second = sealed(make([motd], { id: host2, host: "ixp2", generation: 5 }), subjects.desired(host2));
    const { manifest } = openManifest(second, { ...target, id: host2 }, verifier, read);
    assert.equal(manifest, openManifest(second, { ...target, id: host2 }, verifier).manifest);
    assert.is(manifest.content, good.content);
    const asked: string[] = [];
    const shown = manifestReader((hash) => {
      asked.push(hash);
      return hash === good.content_hash ? good.content : null;
    });
    const third = openManifest(sealed(make([motd], { generation: 6 })), target, verifier, shown).manifest;
    assert.is(third.content, good.content, "it was read although it is known");
    assert.is(third.generation, 6);
    const unknown = sealed(make([passwd]));
    const other = openManifest(unknown, target, verifier, shown).manifest;
    assert.equal(other, openManifest(unknown, target, verifier).manifest);
    assert.equal(asked, [good.content_hash, other.content_hash]);
    const cases: unknown[] = [
      make([motd], { content_hash: "0".repeat(64) }),
      make([passwd], { content_hash: good.content_hash }),
      make([motd, motd]),
      make([motd], { id: host2 }),
      { ...make([motd]), extra: 1 },
      { ...make([motd]), content: undefined },
      { ...make([motd]), generation: 0, content: { ...good.content, groups: 7 } },
    ];
    const words = (value: unknown, reading?: typeof read) => {
      try {
        openManifest(sealed(value), target, verifier, reading);
      } catch (error) {
        if (error instanceof FleetError) return error.message;
        throw error;
      }
      return "taken";
    };
    for (const value of cases) {
      assert.is.not(words(value), "taken");
      // Also when something like it was read before.
      for (const reading of [read, read, shown]) assert.is(words(value, reading), words(value));
    }
  });

  test("resources: unknown kind, field, bad path and bare mode say what would be right", () => {
    const cases: [object, RegExp][] = [
      [{ ...motd, kind: "fil" }, /kind/],
      [{ ...motd, name: "etc/motd" }, /absolute path/],
      [{ ...motd, name: "/etc/../etc/motd" }, /absolute path/],
      [{ ...motd, spec: { content: "", mode: "644" } }, /quoted string of octal digits/],
      [{ ...motd, spec: { content: "", moed: "0644" } }, /moed/],
      [{ kind: "bird", name: "second", spec: { config: "" }, needs: [] }, /must be main/],
      [{ kind: "sysctl", name: "swap", spec: { value: "1" }, needs: [] }, /net\.ipv6/],
    ];
    for (const [resource, words] of cases) assert.throws(() => parse(Resource, resource, "resource"), words);
  });

  test("kind and name come apart at the first slash", () => {
    assert.equal(splitRef("file//etc/motd"), { kind: "file", name: "/etc/motd" });
    assert.throws(() => splitRef("nothing/x"), /not a kind/);
  });

  test("a plan's index is made of what would be done, not of how it is told", () => {
    const step: Step = {
      ref: "file//etc/motd",
      action: "write",
      args: { a: 1 },
      why: "new",
      reversible: true,
    };
    const index = planIndex({ content_hash: "0", steps: [step] });
    assert.is(
      planIndex({ content_hash: "0", steps: [{ ...step, why: "told otherwise", diff: "+x" }] }),
      index,
    );
    assert.is.not(planIndex({ content_hash: "0", steps: [{ ...step, args: { a: 2 } }] }), index);
    assert.is.not(planIndex({ content_hash: "1", steps: [step] }), index);
  });

  test("RFC 8785: the vectors of its section 3.2.3 and 3.2.2", () => {
    const input = {
      "\u20ac": "Euro",
      "\r": "CR",
      "\ufb33": "Hebrew",
      "1": "One",
      "\ud83d\ude00": "Smile",
      "\u0080": "Control",
      "\u00f6": "o",
    };
    const order = Object.values(JSON.parse(canonicalize(input)) as object);
    assert.equal([...order].sort(), [...Object.values(input)].sort());
    assert.ok(canonicalize(input).indexOf("Smile") < canonicalize(input).indexOf("Hebrew"));
    assert.is(
      canonicalize({ b: [333333333.3333333, 1e30, 4.5, 2e-3], a: "\u000f\n" }),
      '{"a":"\\u000f\\n","b":[333333333.3333333,1e+30,4.5,0.002]}',
    );
  });

  test("the RFC 8785 form is that of the library `canonicalize`, errors included", () => {
    const values = [
      ...[null, true, false, 0, -0, 1e21, 1e-7, 0.1, Number.MAX_SAFE_INTEGER, "", '\u2028\u0007"\\/é😀'],
      ...[
        [],
        {},
        [[], {}],
        [undefined, () => 1, Symbol("s"), 2].slice(0, 1),
        { a: undefined, b: Symbol("s") },
      ],
      {
        10: "ten",
        9: "nine",
        "😀": 1,
        "\ufb33": 2,
        __proto__: { inherited: 1 },
        nested: { z: [1, { y: 2, x: null }], a: "" },
      },
      ...[
        new Date(0),
        Buffer.from("bytes"),
        make([motd, { ...motd, name: "/etc/issue", spec: { content: "ä\u0000\n" } }]),
      ],
      ...[Number.NaN, Number.POSITIVE_INFINITY, "\ud800", ["a\udc00b"], { "\ud800": 1 }],
    ];
    const outcome = (form: (value: unknown) => string | undefined, value: unknown) => {
      try {
        return form(value);
      } catch {
        return "refused";
      }
    };
    for (const value of values) assert.is(outcome(canonicalize, value), outcome(canonicalizeOther, value));
    assert.throws(() => canonicalize(undefined), TypeError);
  });
});

/**
 * `ctl policy`: what is wrong in its file, and on a real Vault, broker, controller and agent that a host obeys it as soon as an admin has signed it,
 * that nobody else can, and that it is lifted the same way.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { NodePolicy } from "@muster/protocol/trust";
import * as assert from "uvu/assert";
import { policyChanges, policyText, readPolicy } from "../../../../packages/ctl/src/fleet/policy.ts";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made, PASSWORD } from "../made.ts";
import { ctl } from "../terminal.ts";

const FREE = NodePolicy.parse({});

suite("the policy as a file", (test) => {
  const refusal = (text: string): string => {
    try {
      readPolicy("policy.yml", text);
    } catch (error) {
      if (error instanceof FleetError && error.code === "USAGE") return error.detail;
      throw error;
    }
    return assert.unreachable(text) as never;
  };

  test("all mistakes at once, each with its place and what would be right", () => {
    const told = refusal(
      "controller_may: [ping, exec]\noperators:\n  bob: { kinds: [fil], verbs: [aply], group: [ixp] }\n  Bob: {}\nranks: { admin: {} }\n",
    );
    for (const line of [
      /policy\.yml:1:24: .*exec/,
      /policy\.yml:3:\d+: .*no such kind.*file/,
      /policy\.yml:3:\d+: .*no such method.*apply/,
      /policy\.yml:3:\d+: unknown key `group`.*groups/,
      /policy\.yml:4:\d+: /,
      /policy\.yml:5:\d+: .*admin/,
    ])
      assert.match(told, line);
    assert.match(refusal("- bob\n"), /a policy is a map/);
    assert.match(refusal("operators: [\n"), /not YAML/);
  });

  test("what show prints is what set takes", () => {
    const policy = NodePolicy.parse({
      controller_may: ["ping"],
      operators: { bob: { groups: ["ixp"], kinds: ["file"], verbs: [] } },
      ranks: { ci: { verbs: ["plan", "apply"] } },
    });
    assert.equal(readPolicy("policy.yml", policyText(policy)), policy);
    assert.equal(readPolicy("policy.yml", policyText(FREE)), FREE);
    assert.equal(readPolicy("policy.yml", "operators: {}"), FREE);
  });

  test("a change in a person's words", () => {
    const bob = (limits: object) => NodePolicy.parse({ operators: { bob: limits } });
    assert.equal(policyChanges(FREE, bob({ groups: ["ixp"], kinds: ["file", "bird"], verbs: [] })), [
      "+ bob  only hosts of ixp; changes only bird, file; only reading",
    ]);
    assert.equal(policyChanges(bob({ groups: ["ixp"] }), bob({ groups: ["core"] })), [
      "~ bob  only hosts of core      was only hosts of ixp",
    ]);
    assert.equal(policyChanges(bob({ verbs: ["switch"] }), FREE), ["- bob  not limited any more"]);
    assert.match(
      policyChanges(FREE, NodePolicy.parse({ controller_may: [] }))[0] ?? "",
      /^~ controller alone {2}nothing/,
    );
    assert.equal(policyChanges(FREE, NodePolicy.parse({ ranks: { ci: { kinds: ["file"] } } })), [
      "+ rank ci  changes only file",
    ]);
    assert.equal(policyChanges(FREE, FREE), []);
  });
});

suite(
  "ctl policy",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let agent: TestAgent;
    const file = (name: string) => join(made.directory, name);
    const admin = (...words: string[]) => ctl(words, { home: made.home });
    const bob = (...words: string[]) => ctl(words, { home: file("bob") });

    test.before(async () => {
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      assert.is((await made.init()).code, 0);
      await made.startController(life.signal);
      assert.is((await ctl(["login"], { home: made.home, answers: [PASSWORD] })).code, 0);
      await writeFile(file("bobs"), "another long password\n");
      const words = ["operator", "add", "bob", "--rank", "operator", "--password-file", file("bobs")];
      assert.is((await admin(...words)).code, 0);
      const { anchor } = JSON.parse(await readFile(join(made.home, "lab/fleet.json"), "utf8"));
      const target = `bob@${made.address}#${anchor}`;
      const login = await ctl(["login", target, "--password-file", file("bobs")], { home: file("bob") });
      assert.is(login.code, 0, login.err);
      agent = await makeAgent("ixp1");
      const joined = await admin("join", "ixp1", "--group", "ixp");
      await agent.write("etc/muster/join", joined.out);
      agent.start();
      await eventually(async () => assert.is((await bob("rpc", "reconcile", "ixp1")).code, 0), 20_000);
    });
    test.after(async () => {
      life.abort();
      await agent?.remove();
      await made?.stop();
    });

    test("what an admin sets a host obeys: a person's methods, and the host's own groups, which nobody has signed yet", async () => {
      await writeFile(file("policy.yml"), "operators: { bob: { verbs: [switch] } }\n");
      const declined = await ctl(["policy", "set", file("policy.yml")], { home: made.home });
      assert.is(declined.code, 2, "nobody is there to say yes");
      const set = await admin("policy", "set", file("policy.yml"), "-y");
      assert.is(set.code, 0, set.err);
      assert.match(set.out, /^\+ bob {2}beyond reading only switch$/m);
      assert.match(set.out, /^version 2 /m);
      await eventually(async () => {
        const refused = await bob("rpc", "reconcile", "ixp1");
        assert.is(refused.code, 1);
        assert.match(refused.out + refused.err, /bob is limited to switch/);
      }, 10_000);
      assert.is((await bob("rpc", "facts", "ixp1")).code, 0);
      assert.is((await admin("rpc", "reconcile", "ixp1")).code, 0, "nobody limits alice");

      const show = await bob("policy", "show");
      assert.match(show.out, /bob:\n {4}verbs:\n {6}- switch/);
      const again = await admin("policy", "set", file("policy.yml"), "-y", "--json");
      assert.equal(JSON.parse(again.out), { version: 2, changed: false, changes: [] });
    });

    test("nobody but an admin sets it", async () => {
      await writeFile(file("free.yml"), "operators: {}\n");
      const own = await bob("policy", "set", file("free.yml"), "-y");
      assert.is(own.code, 1, own.out);
      assert.match(own.err, /admin/);
    });

    test("lifted, and a file that cannot be taken changes nothing", async () => {
      await writeFile(file("wrong.yml"), "operators: { bob: { verbs: [shutdown] } }\n");
      const wrong = await admin("policy", "set", file("wrong.yml"), "-y");
      assert.is(wrong.code, 2);
      assert.match(wrong.err, /wrong\.yml:1:\d+: .*no such method/);
      assert.is((await admin("policy", "set", file("nowhere.yml"), "-y")).code, 2);
      const set = await admin("policy", "set", file("free.yml"), "-y", "--json");
      assert.is(JSON.parse(set.out).version, 3);
      await eventually(async () => assert.is((await bob("rpc", "reconcile", "ixp1")).code, 0), 10_000);
    });
  },
  { limit_ms: 60_000 },
);

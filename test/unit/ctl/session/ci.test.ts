/**
 * A forge's job on a real Vault, broker, controller and agent, with tokens signed as a forge signs them: what it may, and that no other project, branch,
 * audience or forge gets in its name.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { writeText } from "../../../../packages/ctl/src/fleet/disk.ts";
import { makeAgent, type TestAgent } from "../../../kit/agent.ts";
import { eventually } from "../../../kit/eventually.ts";
import { type IdentityProvider, startIdentityProvider } from "../../../kit/identity-provider.ts";
import { suite } from "../../../kit/suite.ts";
import { emptyGround, type Made } from "../made.ts";
import { ctl, type Ran } from "../terminal.ts";

const RIGHT = {
  sub: "project_path:ops/fleet:ref_type:branch:ref:main",
  aud: "muster-lab",
  project_path: "ops/fleet",
  ref: "main",
  ref_type: "branch",
  ref_protected: "true",
};

suite(
  "ctl login --ci",
  (test) => {
    const life = new AbortController();
    let made: Made;
    let forge: IdentityProvider;
    let agent: TestAgent;
    let target: string;
    const file = (name: string) => join(made.directory, name);
    const admin = (...words: string[]) => ctl(words, { home: made.home });
    const job = (...words: string[]) => ctl(words, { home: file("runner"), cwd: file("folder") });

    test.before(async () => {
      forge = await startIdentityProvider([8250]);
      made = await emptyGround(life.signal);
      await made.init();
      await made.startBroker();
      const ran = await made.init();
      assert.is(ran.code, 0, ran.err);
      await made.startController(life.signal);
      assert.is((await admin("login", "--password-file", file("password"))).code, 0);
      target = `deploy@${(await readFile(join(made.out, "fleet-string"), "utf8")).trim()}`;
      agent = await makeAgent("ixp1");
      await agent.write("etc/muster/join", (await admin("join", "ixp1")).out);
      agent.start();
      await writeFile(file("provider-ca.pem"), forge.ca_pem);
      const files = {
        "muster.yml": "fleet: lab\n",
        "hosts.yml": "ixp: { hosts: { ixp1: {} } }\n",
        "resources/ixp.yml": 'file: { /etc/note: { content: "one\\n" } }\n',
      };
      for (const [name, text] of Object.entries(files)) await writeText(join(file("folder"), name), text);
      await eventually(async () => {
        assert.is(JSON.parse((await admin("hosts", "--json")).out).length, 1);
        // A record stands there before its agent listens.
        assert.is((await admin("rpc", "ping")).code, 0);
      }, 30_000);
    });
    test.after(async () => {
      life.abort();
      await agent.remove();
      await Promise.all([made.stop(), forge.stop()]);
    });

    async function logIn(token: string, name = target, home = file("runner")): Promise<Ran> {
      await writeFile(file("job-token"), `${token}\n`, { mode: 0o600 });
      return ctl(["login", name, "--ci", "--token-file", file("job-token")], { home });
    }

    test("a fleet that knows no forge says so, and that a token is missing", async () => {
      const none = await logIn(forge.jobToken(RIGHT));
      assert.is(none.code, 1);
      assert.match(none.err, /this fleet knows no forge/, none.err);
      const empty = await ctl(["login", target, "--ci"], { home: file("runner") });
      assert.is(empty.code, 2);
      assert.match(empty.err, /\$MUSTER_ID_TOKEN holds no token/, empty.err);
    });

    test("an admin sets the forge and names one job of it", async () => {
      const set = await admin(
        "operator",
        "provider",
        "--forge",
        forge.issuer,
        "--provider-ca",
        file("provider-ca.pem"),
      );
      assert.is(set.code, 0, set.err);
      assert.match(set.out, /their tokens are for muster-lab/);
      const words = [
        "operator",
        "add",
        "deploy",
        "--forge",
        "gitlab",
        "--project",
        "ops/fleet",
        "--ref",
        "main",
      ];
      for (const rank of ["operator", "admin"]) assert.is((await admin(...words, "--rank", rank)).code, 2);
      assert.is((await admin("operator", "add", "deploy", "--rank", "ci", "--forge", "gitlab")).code, 2);
      const ran = await admin(...words, "--rank", "ci");
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /the audience muster-lab in \$MUSTER_ID_TOKEN/);
      const raised = await admin("operator", "add", "deploy", "--rank", "operator");
      assert.is(raised.code, 1);
      assert.match(raised.err, /deploy is a job of the forge, which gets no rank but ci/, raised.err);
      const listed = await admin("operator", "list");
      assert.match(
        listed.out,
        /^deploy +ci +all +forge project_path=ops\/fleet ref=main ref_protected=true ref_type=branch/m,
      );
    });

    const wrong: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
      [
        "another project",
        { project_path: "evil/fleet" },
        /not for what deploy is bound to: project_path differs/,
      ],
      ["another branch", { ref: "feature" }, /bound to: ref differs/],
      ["a branch that anybody may push to", { ref_protected: "false" }, /bound to: ref_protected differs/],
      ["a tag of that name", { ref_type: "tag" }, /bound to: ref_type differs/],
      ["another audience", { aud: "https://elsewhere.example" }, /for another audience/],
      ["no audience", { aud: undefined }, /for another audience/],
      ["another forge", { iss: "https://elsewhere.example" }, /of another forge/],
      ["an hour ago", { iat: 1, nbf: 1, exp: Math.floor(Date.now() / 1_000) - 3_600 }, /has expired/],
    ];
    test("its token and no other: project, branch, audience, forge, time", async () => {
      for (const [what, claims, words] of wrong) {
        const ran = await logIn(forge.jobToken({ ...RIGHT, ...claims }));
        assert.is(ran.code, 1, `${what}: ${ran.err}`);
        assert.match(ran.err, words, `${what}: ${ran.err}`);
      }
    });

    test("a token that the forge did not sign, and one for a job that nobody named", async () => {
      const [head, , signature] = forge.jobToken(RIGHT).split(".");
      const body = Buffer.from(JSON.stringify({ ...RIGHT, iss: forge.issuer, exp: 9_999_999_999 })).toString(
        "base64url",
      );
      const altered = await logIn(`${head}.${body}.${signature}`);
      assert.match(altered.err, /not signed by the forge/, altered.err);
      const nobody = await logIn(forge.jobToken(RIGHT), target.replace("deploy@", "nightly@"));
      assert.match(nobody.err, /no job logs in as nightly/, nobody.err);
      const person = await logIn(forge.jobToken(RIGHT), target.replace("deploy@", "alice@"));
      assert.match(person.err, /no job logs in as alice/, person.err);
    });

    test("the right one is ci, for an hour", async () => {
      const token = forge.jobToken(RIGHT);
      process.env.MUSTER_ID_TOKEN = token;
      const ran = await ctl(["login", target, "--ci"], { home: file("runner") });
      delete process.env.MUSTER_ID_TOKEN;
      assert.is(ran.code, 0, ran.err);
      assert.match(ran.out, /^lab · deploy, ci, until .*\((59 min|1 h)/);
      const kept = await readFile(join(file("runner"), "lab/session.json"), "utf8");
      assert.not.match(kept + ran.out + ran.err, new RegExp(token.slice(-40)));
    });

    test("it plans and applies; it runs no program and makes no people", async () => {
      const plan = await job("plan");
      assert.is(plan.code, 3, plan.err);
      const applied = await job("apply", "-y", "-m", "from the job");
      assert.is(applied.code, 0, applied.out + applied.err);
      assert.is(await agent.read("etc/note"), "one\n");
      for (const words of [
        ["exec", "ixp1", "--", "id"],
        ["reboot", "ixp1"],
        ["operator", "list"],
        ["revoke", "ixp1", "-y"],
      ]) {
        const ran = await job(...words);
        assert.is(ran.code, 1, `${words.join(" ")}: ${ran.err}`);
        assert.match(ran.err, /logged in as ci, this needs/, ran.err);
      }
    });

    test("where the policy leaves it planning alone, it plans alone", async () => {
      const shown = (await admin("policy", "show")).out;
      await writeFile(
        file("policy.yml"),
        `${shown.replace(/^operators:.*$/m, "")}\noperators: { deploy: { verbs: [plan] } }\n`,
      );
      const set = await admin("policy", "set", file("policy.yml"), "-y");
      assert.is(set.code, 0, set.err);
      await writeText(
        join(file("folder"), "resources/ixp.yml"),
        'file: { /etc/note: { content: "two\\n" } }\n',
      );
      const plan = await job("plan");
      assert.is(plan.code, 3, plan.err);
      const applied = await job("apply", "-y", "-m", "too much");
      assert.is.not(applied.code, 0);
      assert.match(
        applied.out + applied.err,
        /REFUSED .*deploy is limited to plan, not apply/,
        applied.out + applied.err,
      );
      assert.is(await agent.read("etc/note"), "one\n");
    });

    test("a job that was cut off comes in no more", async () => {
      assert.is((await admin("revoke", "deploy", "-y")).code, 0);
      const ran = await logIn(forge.jobToken(RIGHT));
      assert.is(ran.code, 1);
      assert.match(ran.err, /deploy was cut off/, ran.err);
    });
  },
  { limit_ms: 90_000 },
);

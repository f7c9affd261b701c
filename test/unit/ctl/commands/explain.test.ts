/** `ctl explain` with hosts that are asked: agreeing, differing, edited by hand, silent, and asked by somebody who may not. Hosts are played. */
import * as assert from "uvu/assert";
import { parse } from "yaml";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

suite(
  "ctl explain",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      await writeSmallFolder(ground);
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
    });

    test("shows what would change there, and nothing of other resources", async () => {
      const ran = await ground.run("explain core1 file//etc/motd");
      assert.is(ran.code, 3, ran.out + ran.err);
      assert.match(ran.out, /^content +"hello\\n" +resources\/routers\.yml:2:\d+$/m);
      assert.match(ran.out, /^renders to\n {2}content: \|\n {4}hello$/m);
      assert.match(ran.out, /^core1 ~ file\/\/etc\/motd {2}motd \+1 -1\n +- {2}old\n +\+ {2}new$/m);
      const other = await ground.run("explain core1 file//etc/issue");
      assert.is(other.code, 0);
      assert.match(other.out, /^agrees {2}core1 has it as the folder says$/m);
    });

    test("says the same for scripts", async () => {
      const json = JSON.parse((await ground.run("explain core1 file//etc/motd --json")).out);
      assert.is(json.host_says.state, "differs");
      assert.is(json.spec.content, "hello\n");
      assert.equal(parse((await ground.run("explain core1 file//etc/motd -o yaml")).out).fields, json.fields);
    });

    test("a hand edit that is left is shown with its difference", async () => {
      const { core1 } = ground.hosts;
      assert.ok(core1);
      const { steps, now } = core1;
      core1.now = {
        ...now,
        drift: [{ ref: "file//etc/issue", what: "edited by root 03:12", since: null, action: "left" }],
      };
      const ran = await ground.run("explain core1 file//etc/issue");
      core1.now = now;
      core1.steps = steps;
      assert.match(ran.out, /drift +file\/\/etc\/issue: edited by root 03:12; left as it is/);
    });

    test("a host that is not enrolled, one that is silent, and one that may not be asked are said to be so", async () => {
      const stranger = await ground.run("explain probe1 file//etc/motd");
      assert.is(stranger.code, 1);
      assert.match(stranger.out, /not enrolled {2}there is no probe1 to ask/);
      const { ixp1 } = ground.hosts;
      assert.ok(ixp1);
      await ground.logIn("eve", "viewer");
      const viewer = await ground.run("explain ixp1 file//etc/motd");
      assert.is(viewer.code, 1);
      assert.match(viewer.out, /^not asked {2}what ixp1 has is not known: /m);
      await ground.logIn("alice", "operator");
      await ixp1.bus.close();
      const silent = await ground.run("explain ixp1 file//etc/motd");
      assert.is(silent.code, 5, silent.out + silent.err);
      assert.match(
        silent.out,
        /^renders to[\s\S]*^SILENT {2}ixp1 does not answer: what it has is not known/m,
      );
    });

    test("a folder with mistakes is explained as far as it goes, and nobody is asked", async () => {
      await ground.write("resources/core.yml", "file:\n  /etc/motd: { contents: x }\n");
      const ran = await ground.run("explain core1 file//etc/issue");
      assert.is(ran.code, 0);
      assert.match(
        ran.err,
        /the folder has 1 mistake[\s\S]*core1 is not asked while the folder has mistakes/,
      );
      assert.not.match(ran.out, /agrees/);
    });
  },
  { limit_ms: 30_000 },
);

/** `plan`, `apply`, `rollback` and `status` through a real broker and a real controller, with hosts that say what the test wants. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { callController } from "@muster/ports/call";
import { FleetError } from "@muster/protocol";
import * as assert from "uvu/assert";
import { order, signRollout } from "../../../kit/rollout.ts";
import { suite } from "../../../kit/suite.ts";
import { converge, type Ground, startGround, writeSmallFolder } from "../ground.ts";

suite(
  "apply",
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

    test("a plan shows what would change, names who is missing, and changes nothing", async () => {
      const ran = await ground.run("plan");
      assert.is(ran.code, 3, ran.out + ran.err);
      assert.match(ran.out, /core1, ixp1 ~ file\/\/etc\/motd {2}motd \+1 -1/);
      assert.match(ran.out, /not enrolled {2}probe1/);
      assert.match(ran.out, /folder \+ 1 host that no machine joined as: probe1\n/);
      const named = await ground.run("plan probe1");
      assert.is(named.code, 4, named.out + named.err);
      assert.not.match(named.out, /agree/);
      assert.equal(ground.hosts.core1?.manifests, []);
    });

    test("the first apply pins keys, signs, and every host converges", async () => {
      const ran = await ground.run("apply -y -m first");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.out, /^as64500 · alice\n/);
      assert.match(ran.out, /core1 {2}key SHA256:[A-Za-z0-9+/]+, seen for the first time/);
      assert.match(ran.out, /ixp1 {2}converged after [\d.]+ m?s/);
      const lock = await readFile(join(ground.folder, "hosts.lock"), "utf8");
      assert.match(lock, new RegExp(`core1 ${ground.hosts.core1?.id}`));
      const [manifest] = ground.hosts.ixp1?.manifests ?? [];
      assert.is(manifest?.intent.message, "first");
      assert.equal(manifest?.content.groups, ["ixp", "routers"]);
      assert.ok(manifest?.intent.plan_index);
    });

    test("nothing to do is said, and no manifest goes out", async () => {
      const ran = await ground.run("apply -y");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.out, /nothing to do/);
      assert.is(ground.hosts.core1?.manifests.length, 1);
      assert.is((await ground.run("plan core1")).code, 0);
    });

    test("what was applied agrees; a host that nobody joined as is told to the controllers, and one more is a change of its own", async () => {
      const agreed = await ground.run("plan");
      assert.is(agreed.code, 0, agreed.out + agreed.err);
      assert.not.match(agreed.out, /no machine joined/);
      const { bus } = await ground.fleet.connect("operator", "carol", life.signal);
      const carol = { bus, signer: await ground.fleet.person("carol", "operator"), now: Date.now };
      const missing = async () => {
        const page = await callController(carol, "hosts", { after: null, limit: 9 });
        return page.missing?.map(({ name, groups, since }) => ({ name, groups, age: Date.now() - since }));
      };
      const [probe1, ...more] = (await missing()) ?? [];
      assert.equal([probe1?.name, probe1?.groups, more], ["probe1", ["probe", "routers"], []]);
      assert.ok(probe1 !== undefined && probe1.age >= 0 && probe1.age < 600_000, `${probe1?.age} ms`);
      const hosts = await readFile(join(ground.folder, "hosts.yml"), "utf8");
      await ground.write("hosts.yml", hosts.replace("probe1: ", "probe9: {}\n    probe1: "));
      const planned = await ground.run("plan");
      assert.is(planned.code, 3, planned.out + planned.err);
      assert.match(planned.out, /folder \+ 1 host that no machine joined as: probe9\n/);
      assert.not.match(planned.out, /agree/);
      assert.is((await ground.run("plan core1")).code, 0, "nothing of it is core1's");
      const refused = await ground.run("apply", { answers: ["n"] });
      assert.is(refused.code, 0, refused.out + refused.err);
      assert.is((await ground.run("plan")).code, 3);
      assert.is((await ground.run("apply -y")).code, 0);
      assert.is((await ground.run("plan")).code, 0);
      assert.equal(
        (await missing())?.map(({ name }) => name),
        ["probe1", "probe9"],
      );
      // Who has no folder is told what the last apply said of it.
      const status = await ground.run("status", { cwd: ground.home });
      assert.is(status.code, 1, status.out + status.err);
      assert.match(status.out, /probe9 .*not enrolled/);
      assert.match(status.out, /probe9 {2}never joined; declared since .* {6}ctl join probe9/);
      assert.match((await ground.run("status probe --json", { cwd: ground.home })).out, /"probe9"/);
      const quiet = async (words: string, cwd = ground.folder) => {
        const made = await ground.run(`silence ${words} --for 1h -m ordered --json`, { cwd });
        assert.is(made.code, 0, made.err);
        return [...JSON.parse(made.out).hosts].sort();
      };
      assert.equal(await quiet("probe9"), ["probe9"]);
      assert.equal(await quiet("probe9", ground.home), ["probe9"]);
      assert.equal(await quiet("routers"), ["core1", "ixp1", "probe1", "probe9"]);
      assert.equal(await quiet("all"), ["_", "core1", "ixp1", "probe1", "probe9"]);
      assert.equal(await quiet("all", ground.home), ["_", "core1", "ixp1", "probe1", "probe9"]);
      assert.equal(await quiet("routers --not probe9"), ["core1", "ixp1", "probe1"]);
      await ground.write("hosts.yml", hosts.replace("probe1: ", "probe8: {}\n    probe1: "));
      const unknown = await ground.run("silence probe8 --for 1h -m ordered");
      assert.match(unknown.err, /no host that controllers know of is probe8: ctl apply tells them/);
      // A part of the fleet says nothing of the rest.
      await ground.run("apply core1 -y");
      assert.equal(
        (await missing())?.map(({ name }) => name),
        ["probe1", "probe9"],
      );
      await ground.write("hosts.yml", hosts);
      assert.match((await ground.run("apply -y")).out, /folder - 1 host that no machine joined as: probe9\n/);
      assert.equal(
        (await missing())?.map(({ name }) => name),
        ["probe1"],
      );
    });

    test("what is not selected keeps its last signed content and is named as pending", async () => {
      await writeSmallFolder(ground, "second");
      const ran = await ground.run("apply ixp1 -y");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.out, /also pending: core1 \(1\)/);
      assert.is(ground.hosts.core1?.manifests.length, 1);
      assert.is(ground.hosts.ixp1?.manifests.length, 2);
    });

    test("--only changes that resource alone", async () => {
      await ground.write(
        "resources/ixp1.yml",
        'file:\n  /etc/motd: { content: "third\\n" }\n  /etc/new: { content: "x\\n" }\n',
      );
      const ran = await ground.run("apply ixp1 -y --only file//etc/new");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.out, /also pending: core1 \(1\), ixp1 \(1\)/);
      const content = ground.hosts.ixp1?.manifests.at(-1)?.content.resources ?? [];
      const texts = Object.fromEntries(
        content.map((each) => [each.name, "content" in each.spec ? each.spec.content : ""]),
      );
      assert.equal(texts, { "/etc/motd": "second\n", "/etc/issue": "ixp1\n", "/etc/new": "x\n" });
      const strange = await ground.run("plan ixp1 --only file//etc/mod");
      assert.is(strange.code, 2);
      assert.match(strange.err, /did you mean `file\/\/etc\/motd`/);
    });

    test("a change that a host takes back is exit 1, in the host's own words", async () => {
      const host = ground.hosts.ixp1;
      assert.ok(host);
      host.at_manifest = (manifest, self) => {
        const { generation, content_hash, release } = manifest;
        self.say({ state: "unconfirmed", generation, content_hash, release: release.id });
        setTimeout(
          () =>
            self.say({
              state: "undone",
              detail:
                "upstream imported 182,301, now 12 (guard: within 10 %); back after 2 s. bird.conf is as before.",
              error: "UNDONE",
            }),
          50,
        );
      };
      const ran = await ground.run("apply ixp1 -y");
      assert.is(ran.code, 1, ran.out + ran.err);
      assert.match(
        ran.out,
        /ixp1 {2}UNDONE after [\d.]+ m?s: upstream imported 182,301, now 12 \(guard: within 10 %\); back after 2 s\. bird\.conf is as before\./,
      );
      const told = await ground.run("status ixp1");
      assert.is(told.code, 1, told.out + told.err);
      assert.match(told.out, /UNDONE .* ctl plan ixp1/);
      host.at_manifest = null;
    });

    test("a rollback takes back what was signed last, and it stays away until the folder differs", async () => {
      const ran = await ground.run("rollback ixp1 -y --only file//etc/motd");
      assert.is(ran.code, 0, ran.out + ran.err);
      const manifest = ground.hosts.ixp1?.manifests.at(-1);
      const motd = manifest?.content.resources.find((each) => each.name === "/etc/motd");
      assert.is(motd?.kind === "file" && motd.spec.content, "second\n");
      assert.equal(Object.keys(manifest?.rolled_back ?? {}), ["file//etc/motd"]);
      const held = await ground.run("plan ixp1");
      assert.is(held.code, 0, held.out + held.err);
      assert.match(held.out, /held .*file\/\/etc\/motd: rolled back; held until the folder differs/);
      // Asked what it would do for the folder's content, it would do something; what counts is what is held.
      const host = ground.hosts.ixp1;
      assert.ok(host);
      const sent = host.manifests.length;
      host.steps = [{ ref: "file//etc/motd", action: "write", args: {}, why: "motd", reversible: true }];
      const again = await ground.run("apply ixp1 -y");
      assert.is(again.code, 0, again.out + again.err);
      assert.match(again.out, /held .*file\/\/etc\/motd: rolled back/);
      assert.is(host.manifests.length, sent);
      host.steps = [];
      await ground.write(
        "resources/ixp1.yml",
        'file:\n  /etc/motd: { content: "fourth\\n" }\n  /etc/new: { content: "x\\n" }\n',
      );
      assert.is((await ground.run("plan ixp1")).code, 3);
      assert.is((await ground.run("apply ixp1 -y")).code, 0);
      assert.equal(ground.hosts.ixp1?.manifests.at(-1)?.rolled_back, {});
    });

    test("a host that changed since it was planned is planned and asked again", async () => {
      const host = ground.hosts.core1;
      assert.ok(host);
      let refused = 0;
      host.at_manifest = (manifest, self) => {
        if (refused++ === 0)
          self.say({
            state: "refused",
            detail: "the host changed since the plan was made",
            error: "CONFLICT",
          });
        else converge(self, manifest);
      };
      const ran = await ground.run("apply core1 -y");
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.err, /once more/);
      assert.is(refused, 2);
      host.at_manifest = null;
    });

    test("a host that refuses the plan is left out, the others go", async () => {
      const host = ground.hosts.core1;
      assert.ok(host);
      host.plan_error = new FleetError("BIRD_REFUSED", "/etc/bird/bird.conf:12 syntax error");
      const before = host.manifests.length;
      await writeSmallFolder(ground, "refused");
      await ground.write("resources/ixp1.yml", 'file:\n  /etc/motd: { content: "sixth\\n" }\n');
      const ran = await ground.run("apply -y core1,ixp1");
      host.plan_error = null;
      assert.is(ran.code, 4, ran.out + ran.err);
      assert.match(ran.out, /core1 REFUSED {2}BIRD refused: \/etc\/bird\/bird\.conf:12 syntax error/);
      assert.is(host.manifests.length, before);
    });

    test("nobody answers the question, no is no, and ^C stops the watching only", async () => {
      await writeSmallFolder(ground, "seventh");
      const asked = await ground.run("apply core1");
      assert.is(asked.code, 2);
      const no = await ground.run("apply core1", { answers: ["n"] });
      assert.is(no.code, 1);
      const host = ground.hosts.core1;
      assert.ok(host);
      const stop = new AbortController();
      host.at_manifest = () => stop.abort();
      const ran = await ground.run("apply core1 -y", { signal: stop.signal });
      assert.is(ran.code, 130, ran.out + ran.err);
      assert.match(ran.err, /watch it {2}ctl apply --watch\nstop it {3}ctl apply --abort/);
      host.at_manifest = null;
      const manifest = host.manifests.at(-1);
      assert.ok(manifest);
      setTimeout(() => converge(host, manifest), 200);
      const watched = await ground.run("apply --watch");
      assert.is(watched.code, 0, watched.out + watched.err);
      assert.match(watched.out, /core1 {2}converged/);
    });

    test("a viewer may not plan, and a folder with a mistake sends nothing", async () => {
      await ground.logIn("vera", "viewer");
      assert.match((await ground.run("plan")).err, /vera is logged in as viewer/);
      const status = await ground.run("status --json");
      // probe1 stands in the folder, and never joined.
      assert.is(status.code, 1, status.out + status.err);
      const signed = (out: string) =>
        JSON.parse(out).hosts.map((each: { signed_generation: number | null }) => each.signed_generation);
      assert.equal([...new Set(signed(status.out))], [null]);
      const unknown = /what is signed and not yet taken is not known here: /;
      assert.match((await ground.run("status")).err, new RegExp(`${unknown.source}a viewer may not read it`));
      await ground.logIn("alice", "operator");
      const own = await ground.run("status --json");
      assert.ok(
        signed(own.out).some((generation: number) => generation > 0),
        own.out,
      );
      assert.not.match((await ground.run("status")).err, unknown);
      await ground.write("resources/core.yml", "file:\n  /etc/x: { contents: y }\n");
      const ran = await ground.run("apply -y");
      assert.is(ran.code, 2);
      assert.match(ran.err, /resources\/core\.yml:2:/);
      await ground.write("resources/core.yml", "");
    });

    test("a colleague who is faster: planned and asked again, on top of theirs", async () => {
      const [core1, ixp1] = [ground.hosts.core1, ground.hosts.ixp1];
      assert.ok(core1 && ixp1);
      await writeSmallFolder(ground, "raced");
      const bob = await ground.fleet.person("bob", "operator");
      const { bus } = await ground.fleet.connect("operator", "bob", life.signal);
      const caller = { bus, signer: bob, now: Date.now };
      let theirs = 0;
      core1.at_plan = async () => {
        core1.at_plan = null;
        theirs = (await callController(caller, "head", {})).generation + 1;
        const signed = signRollout(
          ground.fleet,
          bob,
          { ixp1: ixp1.id },
          { generation: theirs, waves: [["ixp1"]] },
        );
        await order(caller, signed);
      };
      const ran = await ground.run("apply core1", { answers: ["y", "y"] });
      assert.is(ran.code, 0, ran.out + ran.err);
      assert.match(ran.err, /somebody was faster/);
      assert.is(core1.manifests.at(-1)?.generation, theirs + 1);
    });

    test("a wave that fails stops the rollout: what was not begun is named", async () => {
      const [core1, ixp1] = [ground.hosts.core1, ground.hosts.ixp1];
      assert.ok(core1 && ixp1);
      await writeSmallFolder(ground, "waves");
      await ground.write("resources/ixp1.yml", "");
      const before = ixp1.manifests.length;
      core1.at_manifest = ({ generation, content_hash, release }, self) =>
        self.say({
          state: "failed",
          generation,
          content_hash,
          release: release.id,
          detail: "no space left on device",
          error: "FAILED",
        });
      const ran = await ground.run("apply -y core1,ixp1");
      core1.at_manifest = null;
      assert.is(ran.code, 1, ran.out + ran.err);
      assert.match(ran.out, /core1 {2}FAILED after .*: no space left on device/);
      assert.match(ran.out, /ixp1 {2}not begun: .*core1/);
      assert.is(ixp1.manifests.length, before);
    });

    test("a silent host is named, its change waits for it, and nothing is said better than it is", async () => {
      const host = ground.hosts.ixp1;
      assert.ok(host);
      await host.bus.close();
      await writeSmallFolder(ground, "eighth");
      await ground.write("resources/ixp1.yml", "");
      const planned = await ground.run("plan core1,ixp1 --json");
      assert.is(planned.code, 4, planned.out + planned.err);
      assert.ok(JSON.parse(planned.out).plans.find((each: { host: string }) => each.host === "ixp1").silent);
      const nobody = await ground.run("plan ixp1");
      assert.is(nobody.code, 5, nobody.out + nobody.err);
      assert.match(nobody.out, /ixp1 SILENT {3}it did not answer; its change waits for it/);
    });
  },
  { limit_ms: 20_000 },
);

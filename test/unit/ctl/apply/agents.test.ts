/** The same commands with real agents: three processes that enrol, converge and answer, each below a directory of its own. */
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Manifest, subjects } from "@muster/protocol";
import * as assert from "uvu/assert";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../../../kit/agent.ts";
import { slowness } from "../../../kit/figures.ts";
import { patienceOf } from "../../../kit/patience.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

const NAMES = ["core1", "ixp1", "probe1"] as const;

suite(
  "real agents",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    const agents = new Map<string, TestAgent>();

    const files = (text: string) => {
      const lines = Array.from(
        { length: 20 },
        (_, at) => `  /etc/net/${at}.conf: { content: "${text} ${at}\\n" }`,
      );
      return ground.write(
        "resources/routers.yml",
        `directory:\n  /etc/net: {}\nfile:\n${lines.join("\n")}\n`,
      );
    };
    /** Waits until `ready` answers null; what else it answers is what the error says, with what each agent logged but for the questions. */
    const until = async (what: string, ready: () => Promise<string | null>) => {
      const patience = patienceOf(25_000);
      for (let seen = await ready(); seen !== null; seen = await ready()) {
        if (patience.over()) throw new Error(`${what}: ${seen}\n${[...agents].map(logOf).join("\n")}`);
        await sleep(100);
      }
    };
    const logOf = ([name, agent]: [string, TestAgent]) =>
      `${name}:\n${agent
        .output()
        .split("\n")
        .filter((line) => !line.includes('"msg":"rpc"'))
        .slice(-30)
        .join("\n")}`;

    test.before(
      async () => {
        ground = await startGround([], life.signal);
        await realSshCertificates(ground.controller.issuer, ground.home);
        await writeSmallFolder(ground);
        for (const name of NAMES) {
          const agent = await makeAgent(name);
          agents.set(name, agent);
          await agent.write("/etc/muster/join", joinString(ground.fleet, ground.alice, { name, groups: [] }));
          agent.start();
        }
        await until("enrolment", async () => {
          const { out } = await ground.run("hosts --json");
          const enrolled = JSON.parse(out).every((row: { record: unknown }) => row.record !== null);
          return enrolled ? null : out;
        });
        // A record stands there before its agent listens.
        await until("an answer of each", async () => {
          const ran = await ground.run("rpc ping");
          return ran.code === 0 ? null : `exit ${ran.code}: ${ran.out}${ran.err}`;
        });
      },
      { limit_ms: 40_000 },
    );
    test.after(async () => {
      for (const agent of agents.values()) await agent.remove();
      life.abort();
      await ground.stop();
      await rm(ground.home, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    });

    test("twenty files on three hosts, from plan to converged and back to no steps", async () => {
      await files("one");
      const planned = await ground.run("plan");
      assert.is(planned.code, 3, planned.out + planned.err);
      assert.match(planned.out, /core1, ixp1, probe1 \+ file\/\/etc\/net\/7\.conf/);
      const first = await ground.run("apply -y");
      assert.is(first.code, 0, first.out + first.err);
      for (const name of NAMES)
        assert.match(first.out, new RegExp(`${name}  key SHA256:\\S+, proved by the join string of alice`));
      assert.is(await agents.get("ixp1")?.read("/etc/net/7.conf"), "one 7\n");
      const again = await ground.run("plan");
      assert.is(again.code, 0, again.out + again.err);
      assert.match(again.out, /folder and servers agree/);
      await files("two");
      const began = performance.now();
      const second = await ground.run("apply -y");
      assert.is(second.code, 0, second.out + second.err);
      const took_ms = performance.now() - began;
      assert.ok(
        took_ms < 1_500 * slowness(),
        `from Enter to converged in ${Math.round(took_ms)} ms, without the start of node`,
      );
      assert.is(await agents.get("probe1")?.read("/etc/net/19.conf"), "two 19\n");
      const back = await ground.run("rollback ixp1 -y");
      assert.is(back.code, 0, back.out + back.err);
      assert.is(await agents.get("ixp1")?.read("/etc/net/0.conf"), "one 0\n");
    });

    test("what a host refuses is not sent to it, and the others are changed", async () => {
      await ground.write("resources/core1.yml", 'file:\n  /etc/muster/agent.json: { content: "mine" }\n');
      await files("three");
      const ran = await ground.run("apply core1,probe1 -y");
      await ground.write("resources/core1.yml", "");
      assert.is(ran.code, 4, ran.out + ran.err);
      assert.match(ran.out, /core1 REFUSED {2}file\/\/etc\/muster\/agent\.json: .*nothing is sent to it/);
      assert.is(await agents.get("core1")?.read("/etc/net/0.conf"), "two 0\n");
      assert.is(await agents.get("probe1")?.read("/etc/net/0.conf"), "three 0\n");
      await files("two");
    });

    test("every command that asks has an answer", async () => {
      for (const words of [
        "status",
        "facts core1",
        "health",
        "bgp",
        "rpc ping",
        "rpc status ixp1",
        "hosts -o wide",
        "events --last 5",
      ]) {
        const ran = await ground.run(words);
        assert.is(ran.code, 0, ran.out + ran.err);
      }
    });

    test("what the broker lost since its backup the hosts still have, and numbers go on above it", async () => {
      const { bus } = await ground.fleet.connect("controller", "restored", life.signal);
      const rows: { name: string; record: { id: string } }[] = JSON.parse(
        (await ground.run("hosts --json")).out,
      );
      const ids = rows.map(({ record }) => record.id);
      const newest = () => Promise.all(ids.map((id) => bus.directGet("DESIRED", subjects.desired(id))));
      const head = bus.kv("fleet");
      const manifestOf = (message: { body: Uint8Array } | null | undefined): Manifest =>
        JSON.parse(Buffer.from(message?.body ?? []).toString());
      const [backup, backup_head] = [await newest(), await head.get("generation")];
      await files("four");
      const lost = await ground.run("apply -y");
      assert.is(lost.code, 0, lost.out + lost.err);
      const after = await newest();
      const highest = Math.max(...after.map((message) => manifestOf(message).generation));
      // As a restored broker stands: older manifests, the older number, and nothing of the release that came after.
      await Promise.all(
        ids.map(async (id, at) => {
          const release = manifestOf(after[at]).release.id;
          await bus.publishStored(subjects.staged(release, id), Buffer.from("lost"), {});
          const { headers = {}, body = Buffer.alloc(0) } = backup[at] ?? {};
          // Without the broker's own: by its message id it would count as a duplicate.
          const signed = Object.entries(headers).filter(([name]) => !name.startsWith("Nats-"));
          await bus.publishStored(subjects.desired(id), body, { headers: Object.fromEntries(signed) });
        }),
      );
      await head.put("generation", backup_head?.value ?? Buffer.alloc(0));

      for (const message of await newest()) assert.ok(manifestOf(message).generation < highest);
      const planned = await ground.run("plan");
      assert.is(planned.code, 3, planned.out + planned.err);
      const agreed = await ground.run("apply -y");
      assert.is(agreed.code, 0, agreed.out + agreed.err);
      for (const message of await newest()) assert.ok(manifestOf(message).generation > highest, agreed.out);
      assert.is(await agents.get("ixp1")?.read("/etc/net/0.conf"), "four 0\n");
      assert.is((await ground.run("plan")).code, 0);
    });

    test("without a controller the hosts are asked themselves", async () => {
      await ground.controller.stop();
      const told = await ground.run("status");
      assert.is(told.code, 1, told.out + told.err);
      assert.match(told.out, /core1 .* converged/);
      assert.match(told.out, /controller {2}no controller answers: asked the hosts themselves/);
      assert.is((await ground.run("rpc ping")).code, 0);
      const planned = await ground.run("plan core1");
      assert.is(planned.code, 0, planned.out + planned.err);
      const applied = await ground.run("apply core1 -y");
      assert.is(applied.code, 5, applied.out + applied.err);
    });
  },
  { limit_ms: 40_000 },
);

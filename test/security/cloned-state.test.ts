/** A host's state directory copied to another machine: the second of the two that renews is seen, and nothing is issued for the key until a person has looked. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Caller, callController, callOne } from "@muster/ports/call";
import { type FleetEvent, patterns } from "@muster/protocol";
import * as assert from "uvu/assert";
import { LIFE_MS } from "../../packages/controller/src/certificates/issuer.ts";
import { judgeMark } from "../../packages/controller/src/enrolment/marks.ts";
import { joinString, makeAgent, realSshCertificates, type TestAgent } from "../kit/agent.ts";
import { startController, type TestController } from "../kit/controller.ts";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { patienceOf } from "../kit/patience.ts";
import type { Person } from "../kit/people.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";

/** Renewed after a seventh of it. */
const BUS_LIFE_MS = 7_000;

suite(
  "a copied state directory",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let controller: TestController;
    let agent: TestAgent;
    let copy: TestAgent;
    let alice: Person;
    let caller: Caller;
    const events: FleetEvent[] = [];

    const record = async () => (await callController(caller, "host", { name: "core1" })).record;
    const until = async (what: string, ready: () => boolean | Promise<boolean>) => {
      const patience = patienceOf(40_000);
      while (!(await ready())) {
        if (patience.over())
          throw new Error(`${what}: not after ${patience.text()}\n${agent.output().slice(-3_000)}`);
        await sleep(50);
      }
    };

    test.before(async () => {
      fleet = await startFleet();
      controller = await startController(fleet);
      Object.assign(controller.issuer, { life_ms: { ...LIFE_MS, agent: BUS_LIFE_MS } });
      await realSshCertificates(controller.issuer, fleet.server.directory);
      alice = await fleet.person("alice");
      agent = await makeAgent("core1");
      copy = await makeAgent("core1");
      const { bus } = await fleet.connect("operator", "alice", life.signal);
      caller = { bus, signer: alice, now: Date.now };
      for (const kind of ["credentials", "enrolment"])
        bus.subscribe(patterns.event("core1", kind), { concurrency: 1 }, (message) => {
          events.push(JSON.parse(Buffer.from(message.body).toString()));
        });
      await agent.write("/etc/muster/join", joinString(fleet, alice, { name: "core1" }));
      agent.start();
      await until("renewed", async () => ((await record())?.mark?.generation ?? 0) >= 3);
    });
    test.after(async () => {
      await agent.remove();
      await copy.remove();
      life.abort();
      await controller.stop();
      await fleet.stop();
    });

    test("one machine renews for ever, through restarts and a lost answer", async () => {
      await agent.stop("SIGKILL");
      agent.start();
      const { generation = 0 } = (await record())?.mark ?? {};
      await until(
        "renewed after a crash",
        async () => ((await record())?.mark?.generation ?? 0) > generation + 1,
      );
      assert.is((await record())?.quarantined ?? null, null);
    });

    test("two machines with one state: the second to renew brings both into quarantine, with an alarm", async () => {
      await agent.stop();
      for (const path of ["var/lib/muster-agent", "etc/ssh"])
        await cp(join(agent.prefix, path), join(copy.prefix, path), {
          recursive: true,
          filter: (source) => !source.endsWith(".sock"),
        });
      agent.start();
      copy.start();
      const began = Date.now();
      await until("quarantine", async () => (await record())?.quarantined != null);
      console.log(`    seen after ${Date.now() - began} ms, with lives of ${BUS_LIFE_MS} ms`);
      await until("alarm", () => events.some(({ what }) => what.includes("two machines have its key")));
      const alarm = events.find(({ what }) => what.includes("two machines have its key"));
      assert.is(alarm?.severity, "error");
      assert.match(alarm?.what ?? "", /ctl host clear core1[\s\S]*ctl host replace core1/);
      const { mark } = (await record()) ?? {};
      await sleep(2_500);
      assert.equal((await record())?.mark, mark, "neither is issued anything");
      await until("told why", () => /in quarantine/.test(agent.output() + copy.output()));
    });

    test("when the copy is gone a person ends the quarantine, and the host renews again", async () => {
      await copy.stop();
      assert.is((await callController(caller, "clear", { name: "core1" })).cleared, true);
      assert.is((await callController(caller, "clear", { name: "core1" })).cleared, false);
      await until("renewed", async () => ((await record())?.mark?.generation ?? 0) >= 1);
      assert.is((await record())?.quarantined ?? null, null);
    });

    test("a host that controllers no longer know asks to be let in again, and stays on the bus meanwhile", async () => {
      const before = await record();
      const { bus } = await fleet.connect("controller", "restored", life.signal);
      await bus.kv("hosts").delete("core1");
      const waiting = async () => (await callController(caller, "enrolments", {})).waiting;
      await until("it asks", async () => (await waiting()).length > 0);
      const [asks] = await waiting();
      assert.equal([asks?.name, asks?.id], ["core1", before?.id]);
      const status = async () => (await agent.read("/run/muster-agent/status.json")) ?? "";
      await until("it says so on the host", async () => /waiting for approval/.test(await status()));
      await callOne(caller, before?.id ?? "", "ping", {});
      const word = { fingerprint: asks?.fingerprint ?? "", name: "core1", groups: [] };
      await callController(caller, "approve", word);
      await until("renewed", async () => ((await record())?.mark?.generation ?? 0) >= 2);
      assert.is((await record())?.quarantined ?? null, null);
      await until("it says so", () => events.some(({ what }) => what.includes("no longer knew this host")));
      assert.equal(await waiting(), [], "once is enough");
    });

    test("a host that slept past its credentials comes back by its key, without a word of anybody", async () => {
      Object.assign(controller.issuer, { life_ms: { ...LIFE_MS, agent: 2_000 } });
      const ends = async () => (await record())?.certificates.user_jwt ?? 0;
      await until("a short life", async () => (await ends()) < Date.now() + 2_500);
      await agent.stop();
      Object.assign(controller.issuer, { life_ms: { ...LIFE_MS, agent: BUS_LIFE_MS } });
      const before = await record();
      await until("its end", async () => Date.now() > (await ends()) + 1_000);
      agent.start();
      await until("back", async () => ((await record())?.recoveries ?? 0) > (before?.recoveries ?? 0));
      await until("heard", () =>
        callOne(caller, before?.id ?? "", "ping", {}).then(
          () => true,
          () => false,
        ),
      );
      assert.is((await record())?.quarantined ?? null, null);
      const what = `came back by its own key, time ${(await record())?.recoveries}`;
      await until("it is told", () => events.some((event) => event.what.includes(what)));
    });

    test("a thief who tells no mark, or an old one, gets nothing; a lost answer is no thief", () => {
      const [a, b, c] = [randomHex(), randomHex(), randomHex()];
      const held = { word: b, generation: 7 };
      assert.is(judgeMark(held, undefined).verdict, "copy");
      assert.is(judgeMark(held, { held: a, next: c }).verdict, "copy");
      assert.is(judgeMark(held, { held: null, next: c }).verdict, "copy");
      assert.equal(judgeMark(held, { held: b, next: c }), {
        verdict: "same",
        mark: { word: c, generation: 8 },
      });
      assert.equal(judgeMark(held, { held: a, next: b }), { verdict: "same", mark: held });
      assert.is(judgeMark(null, { held: null, next: a }).verdict, "same");
    });
  },
  { limit_ms: 90_000 },
);

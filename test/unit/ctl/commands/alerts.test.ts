/** `alerts.yml` through `ctl plan` and `apply`, and `ctl alerts`, `silence` and `status` as a person types them: a real controller looks and tells a real receiver. */
import type { AlertView } from "@muster/protocol/alert";
import * as assert from "uvu/assert";
import { type HttpReceiver, httpReceiver } from "../../../kit/alert-receivers.ts";
import { eventually } from "../../../kit/eventually.ts";
import { suite } from "../../../kit/suite.ts";
import { type Ground, startGround, writeSmallFolder } from "../ground.ts";

/** A look is 2 s, and the machine may be busy. */
const SOON_MS = 40_000;

suite(
  "ctl alerts",
  (test) => {
    const life = new AbortController();
    let ground: Ground;
    let hook: HttpReceiver;
    test.before(async () => {
      ground = await startGround(["core1", "ixp1"], life.signal);
      hook = await httpReceiver();
      await writeSmallFolder(ground);
    });
    test.after(async () => {
      life.abort();
      await ground.stop();
      await hook.stop();
    });
    const rules = () =>
      ground.write(
        "alerts.yml",
        `routes:
  hook: { to: webhook, url: "${hook.url}/x", wait: 0s }
rules:
  - { name: now, about: [change], fall: 1 }
  - { name: still, about: [silent, "blind/*", joined], severity: none }   # played hosts speak only when they are let, and nobody joined as probe1
`,
      );
    const told = (count: number) => () => {
      const received = hook.received.map(({ body }) => body).filter((body) => body.includes("ixp1"));
      assert.is(received.length, count, received.join("\n"));
    };
    const say = (state: "failed" | "converged", host = "ixp1") =>
      ground.hosts[host]?.say({ state, detail: state === "failed" ? "no space left" : "" });

    test("rules are a part of the plan, go with what is applied whole, and then agree", async () => {
      assert.is((await ground.run("apply -y")).code, 0);
      await rules();
      const plan = await ground.run("plan");
      assert.is(plan.code, 3, plan.out + plan.err);
      assert.match(plan.out, /^alerts \+ route hook$/m);
      assert.match(plan.out, /^alerts \+ rule now$/m);
      assert.not.match((await ground.run("plan ixp1")).out, /alerts/);
      const applied = await ground.run("apply -y");
      assert.is(applied.code, 0, applied.err);
      assert.match(applied.out, /^alert rules 1 hold {6}ctl alerts$/m);
      const again = await ground.run("plan");
      assert.is(again.code, 0, again.out);

      // What is scraped is signed with them, and the rules stay as they were.
      await ground.write("monitoring.yml", 'scrape: { node: { metrics: ":9100" } }\n');
      const scraped = await ground.run("apply -y");
      assert.is(scraped.code, 0, scraped.err);
      assert.match(scraped.out, /^monitoring \+ scrape node$/m);
      assert.not.match(scraped.out, /^alerts [+~-]/m);
      assert.match((await ground.run("prometheus targets")).out, /^node +ixp1 +http:\/\/.*:9100\/metrics$/m);
      assert.is((await ground.run("plan")).code, 0);
      await ground.write("monitoring.yml", "");
      assert.match((await ground.run("apply -y")).out, /^monitoring - scrape node$/m);
    });

    test("red is told, counted by status, shown with who knows; silenced by a person, and ended", async () => {
      // By the rules from before, a host that never joined may have been told.
      await eventually(
        async () => assert.equal(JSON.parse((await ground.run("alerts --json")).out).alerts, []),
        SOON_MS,
      );
      say("failed");
      await eventually(told(1), SOON_MS);
      await eventually(async () => {
        const { out, code } = await ground.run("alerts");
        assert.is(code, 1, out);
        assert.match(
          out,
          /^ixp1 {2}page for .*: FAILED .* ago: no space left {3}\(told hook .*\) {6}ctl plan ixp1$/m,
        );
        assert.match(out, /^routes {2}hook \(webhook\) ok .*; rules 3 by alice$/m);
      }, SOON_MS);
      await eventually(
        async () => assert.match((await ground.run("status")).out, /^alerts {2}1 firing {6}ctl alerts$/m),
        SOON_MS,
      );

      const fires = await ground.run("alerts ixp1 --json");
      assert.is(fires.code, 1, fires.out);
      const { fleet, alerts, silences, left_out } = JSON.parse(fires.out);
      assert.equal([fleet, silences, left_out], ["as64500", [], 0]);
      assert.equal(
        alerts.map(({ host, about, rule, state, silenced, next }: AlertView) => ({
          ...{ host, about, rule, state, silenced, next },
        })),
        [
          {
            ...{ host: "ixp1", about: "change", rule: "now", state: "firing", silenced: null },
            next: "ctl plan ixp1",
          },
        ],
      );
      assert.match(alerts[0].what, /no space left/);
      assert.is(alerts[0].told.hook.state, "firing");
      const none = await ground.run("alerts core1 --json");
      assert.equal([none.code, JSON.parse(none.out).alerts], [0, []]);

      const made = await ground.run("silence ixp1 --for 2h", { more: ["-m", "switch swap"] });
      assert.is(made.code, 0, made.err);
      assert.match(made.out, /^ixp1: nobody is told for 2 h, until /m);
      const [quiet] = JSON.parse((await ground.run("alerts ixp1 --json")).out).silences;
      assert.equal(
        [quiet.selector, quiet.hosts, quiet.by, quiet.why],
        ["ixp1", ["ixp1"], "alice", "switch swap"],
      );
      const silenced = await ground.run("alerts");
      assert.is(silenced.code, 0, silenced.out);
      assert.match(silenced.out, /\(silenced by alice until .*: switch swap\)/);
      await eventually(
        async () => assert.match((await ground.run("status")).out, /^alerts {2}1 silenced {6}ctl alerts$/m),
        SOON_MS,
      );
      const [{ id }] = JSON.parse((await ground.run("silence --json")).out);
      assert.is((await ground.run(`silence --end ${id}`)).code, 0);
      assert.match((await ground.run("silence")).out, /nothing is silenced/);
      say("converged");
      await eventually(told(2), SOON_MS);
    });

    test("a route that fails is red in status, with the other side's words", async () => {
      hook.answer = { status: 500, body: "out of order" };
      say("failed");
      await eventually(async () => {
        const { out, code } = await ground.run("status");
        assert.is(code, 1);
        assert.match(
          out,
          /^alerts {2}route hook \(webhook\) FAILS since .*: .*answered 500: out of order; it last worked .* {6}ctl alerts$/m,
        );
      }, SOON_MS);
    });
  },
  { limit_ms: 90_000 },
);

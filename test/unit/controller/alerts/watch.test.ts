/** Alerts over a real broker and to real receivers: what rises and falls, who is told once, what is silenced, and what a controller that takes over does. */
import type { Finding, Look } from "@muster/controller/alerts/findings";
import { AlertStore } from "@muster/controller/alerts/store";
import { type AlertPorts, AlertWatch } from "@muster/controller/alerts/watch";
import { Storage } from "@muster/controller/records/storage";
import { openLog } from "@muster/ports/log";
import { seal, storeEnvelope, verifierOf } from "@muster/protocol";
import { ALERTING_SUBJECT, type Alerting, type AlertRoute } from "@muster/protocol/alerting";
import * as assert from "uvu/assert";
import { type HttpReceiver, httpReceiver } from "../../../kit/alert-receivers.ts";
import { eventually } from "../../../kit/eventually.ts";
import { startFleet, type TestFleet } from "../../../kit/fleet.ts";
import { suite } from "../../../kit/suite.ts";

const log = openLog({ name: "test", level: "silent" });
const MIN = 60_000;
const SLOW = { rule: "slow", when: "health.load1>9", hosts: ["core1"], count: 7 };
const OPEN = { unsure: new Set<string>(), not_known: [SLOW] };
const ROUTE = { severity: "ticket", hosts: null, wait_ms: 0, repeat_ms: 4 * 60 * MIN } as const;

const down = (host: string, session = "upstream"): Finding => ({
  host,
  tint: "red",
  about: `session/${session}`,
  what: `${session} DOWN`,
  next: `ctl bgp ${host} ${session}`,
});
const silent = (host: string): Finding => ({
  ...{ host, tint: "red", about: "silent", what: "silent", next: "ctl rpc ping" },
});

suite("alerts", (test) => {
  const life = new AbortController();
  let fleet: TestFleet;
  let hook: HttpReceiver;
  let store: AlertStore;
  let version = 0;
  // What the watch sees, as the tests set it.
  let now_ms = Date.now();
  const storage = new Storage(() => now_ms);
  let findings: Finding[] = [];
  let silents: string[] = [];
  const quiet: [string, string][] = [];
  const changing: string[] = [];
  let hearing: ReturnType<AlertPorts["hearing"]> = "well";

  const watch = (leading: () => boolean = () => true, signal = life.signal) => {
    const ports: AlertPorts = {
      ...{ store, storage, fleet: fleet.name, log, now: () => now_ms, leading },
      verifier: () => verifierOf(fleet.bundle),
      look: async (): Promise<Look> => ({
        ...{ findings, silent: new Set(silents), quiet: new Map(quiet), ...OPEN },
      }),
      forget: () => undefined,
      changing: (host) => (changing.includes(host) ? "generation 7 goes out to it" : null),
      hearing: () => hearing,
      secret: async (reference) => `value of ${reference}`,
      outlets: { use: () => undefined, standings: () => [] },
    };
    return new AlertWatch(ports, signal);
  };
  const rounds = async (one: AlertWatch, count: number, step_ms = 5_000) => {
    for (let at = 0; at < count; at++) {
      await one.round();
      await one.settled();
      now_ms += step_ms;
    }
  };
  const give = async (routes: Record<string, AlertRoute>, more: Partial<Alerting> = {}, by = "alice") => {
    const held = await store.rules();
    const alerting: Alerting = {
      ...{ v: 1, fleet: fleet.name, version: ++version, rules: [], routes, heartbeat: null },
      ...more,
    };
    const signed = seal(
      ALERTING_SUBJECT,
      Buffer.from(JSON.stringify(alerting)),
      await fleet.person(by),
      now_ms,
    );
    await store.putRules(storeEnvelope(signed), held?.revision ?? null);
  };
  const told = () => hook.received.splice(0).map(({ body }) => JSON.parse(body));
  const names = (message: { alerts: { host: string; about: string; state: string }[] }) =>
    message.alerts.map(({ host, about, state }) => `${host} ${about} ${state}`).sort();

  test.before(async () => {
    fleet = await startFleet();
    hook = await httpReceiver();
    const { bus } = await fleet.connect("controller", "one", life.signal);
    store = new AlertStore(bus.kv("alerts"));
  });
  test.before.each(async () => {
    findings = [];
    silents = [];
    quiet.splice(0);
    changing.splice(0);
    hearing = "well";
    hook.answer = { status: 200, body: "" };
    await rounds(watch(), 8, MIN);
    hook.received.splice(0);
  });
  test.after(async () => {
    life.abort();
    await hook.stop();
    await fleet.stop();
  });

  test("red fires without a line being written, after its time, and is kept and counted", async () => {
    findings = [down("ixp1"), { ...down("core1"), tint: "amber" }];
    const one = watch();
    await rounds(one, 3);
    assert.equal(await store.alerts(), []);
    await rounds(one, 1);
    assert.equal(
      (await store.alerts()).map(({ host, about, severity, state }) => [host, about, severity, state]),
      [["ixp1", "session/upstream", "page", "firing"]],
    );
    const summary = await store.summary();
    assert.equal([summary?.firing, summary?.silenced, summary?.rules], [1, 0, null]);
    assert.equal(summary?.not_known, [SLOW]);
    // Gone for four looks is not over; for five it is.
    findings = [];
    await rounds(one, 4);
    assert.is((await store.alerts()).length, 1);
    await rounds(one, 1);
    assert.equal(await store.alerts(), []);
  });

  test("one message for what begins together, one for its end, none twice; over a restart neither lost nor repeated", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, wait_ms: 20_000, url: hook.url } });
    findings = [down("ixp1"), down("ixp1", "locix"), silent("core1")];
    silents = ["core1"];
    const one = watch();
    await rounds(one, 8);
    const [first, ...more] = told();
    assert.equal(more, []);
    assert.equal(
      names(first),
      ["core1 silent firing", "ixp1 session/locix firing", "ixp1 session/upstream firing"].slice(
        0,
        names(first).length,
      ),
    );
    assert.is(names(first).length, 3, JSON.stringify(first));
    assert.match(first.text, /ixp1 {2}page since .*: upstream DOWN\n {4}ctl bgp ixp1 upstream/);
    // Another controller takes over: it knows who was told.
    const two = watch();
    await rounds(two, 4);
    assert.equal(told(), []);
    findings = [silent("core1")];
    await rounds(two, 12);
    const [over, ...rest] = told();
    assert.equal(rest, []);
    assert.equal(names(over), ["ixp1 session/locix resolved", "ixp1 session/upstream resolved"]);
    findings = [];
    silents = [];
    await rounds(two, 12);
    assert.equal(names(told()[0]), ["core1 silent resolved"]);
    assert.equal(await store.alerts(), []);
  });

  test("what was on its way when a controller died goes out from the next, under the same id", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, url: hook.url } });
    hook.answer = null;
    findings = [down("ixp1")];
    const death = new AbortController();
    const dying = watch(() => true, death.signal);
    for (let at = 0; at < 6; at++) {
      await dying.round();
      now_ms += 5_000;
    }
    await eventually(() => assert.is(hook.received.length, 1));
    const [lost] = told();
    assert.ok(lost, "nothing was sent");
    death.abort();
    hook.answer = { status: 200, body: "" };
    await rounds(watch(), 2);
    const [again, ...more] = told();
    assert.equal(more, []);
    assert.is(again.id, lost.id);
    assert.equal(names(again), ["ixp1 session/upstream firing"]);
    findings = [];
  });

  test("a route that fails is told, tried again with longer waits, and gets what there is then", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, url: hook.url } });
    hook.answer = { status: 503, body: "out of   order" };
    findings = [down("ixp1")];
    const one = watch();
    await rounds(one, 30);
    // After some 5, 10, 20, 40 s, each a quarter more or less, and not at each of 27 looks.
    const tries = told();
    assert.ok(tries.length >= 4 && tries.length <= 7, `${tries.length} tries`);
    const standing = (await store.summary())?.routes[0];
    assert.match(standing?.error ?? "", /the webhook answered 503: out of order/);
    assert.is(standing?.waiting, 1);
    hook.answer = { status: 204, body: "" };
    now_ms += 10 * MIN;
    await rounds(one, 2);
    assert.is(told().length, 1);
    assert.is((await store.summary())?.routes[0]?.failing_since, null);
    findings = [];
    await rounds(one, 8);
    assert.equal(names(told()[0]), ["ixp1 session/upstream resolved"]);
  });

  test("a person's silence, a drain and a change of ours hold it back for as long as they last", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, url: hook.url } });
    const one = watch();
    const reasons: [string, () => unknown, () => unknown][] = [
      [
        "silence",
        () =>
          store.addSilence({
            ...{ id: "0000000a", selector: "ixp1", hosts: ["ixp1"], about: ["session/*"] },
            ...{ by: "alice", why: "switch", at: now_ms, until: now_ms + 60 * MIN },
          }),
        async () => {
          await store.endSilence("0000000a");
        },
      ],
      ["drain", () => quiet.push(["ixp1", "drained by bob"]), () => quiet.splice(0)],
      ["change", () => changing.push("ixp1"), () => changing.splice(0)],
    ];
    for (const [name, begin, end] of reasons) {
      await begin();
      findings = [down("ixp1"), down("core1")];
      await rounds(one, 8);
      assert.equal(told().map(names), [["core1 session/upstream firing"]], name);
      const summary = await store.summary();
      assert.equal([summary?.firing, summary?.silenced], [1, 1], name);
      await end();
      await rounds(one, 2);
      assert.equal(told().map(names), [["ixp1 session/upstream firing"]], name);
      findings = [];
      await rounds(one, 8);
      told();
    }
    // A drain that should be over alarms, whoever drained it.
    quiet.push(["ixp1", "drained by bob"]);
    findings = [{ ...down("ixp1"), about: "drain" }];
    await rounds(one, 8);
    assert.equal(told().map(names), [["ixp1 drain firing"]]);
    quiet.splice(0);
    findings = [];
    await rounds(one, 8);
    told();
  });

  test("of a silent host nothing is over; after the broker was away nobody is silent for the time that it takes to know", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, url: hook.url } });
    const one = watch();
    findings = [down("ixp1")];
    await rounds(one, 7);
    told();
    findings = [silent("ixp1")];
    silents = ["ixp1"];
    hearing = "settling";
    await rounds(one, 8);
    assert.equal(told(), []);
    hearing = "deaf";
    await rounds(one, 8);
    hearing = "well";
    await rounds(one, 8);
    assert.equal(told().map(names), [["ixp1 silent firing"]]);
    assert.is((await store.alerts()).length, 2);
    findings = [];
    silents = [];
    await rounds(one, 8);
    told();
  });

  test("rules of the folder come first: other times, none at all, rise and fall; pages alone where a route wants no more", async () => {
    const rule = { hosts: null, severity: "page", for_ms: 0, rise: 1, fall: 1 } as const;
    await give(
      {
        hook: { to: "webhook", ...ROUTE, url: hook.url },
        pager: { to: "webhook", ...ROUTE, severity: "page", hosts: ["core1"], url: `${hook.url}/pager` },
      },
      {
        rules: [
          { ...rule, name: "never", about: ["session/lab*"], severity: "none" },
          { ...rule, name: "slow", about: ["session/upstream"], hosts: ["core1"], rise: 3 },
          { ...rule, name: "mine", about: ["session/*"], severity: "ticket" },
        ],
      },
    );
    const one = watch();
    findings = [down("ixp1"), down("core1"), down("ixp1", "lab-1")];
    await rounds(one, 1);
    assert.equal(told().map(names), [["ixp1 session/upstream firing"]]);
    await rounds(one, 2);
    const both = hook.received.splice(0);
    assert.equal(both.map(({ path }) => path).sort(), ["/", "/pager"]);
    findings = [];
    await rounds(one, 2);
    told();
    assert.equal(await store.alerts(), []);
  });

  test("still firing is told again in its time; a controller that does not lead tells nobody", async () => {
    await give({ hook: { to: "webhook", ...ROUTE, url: hook.url, repeat_ms: 10 * MIN } });
    findings = [down("ixp1")];
    await rounds(
      watch(() => false),
      8,
    );
    assert.equal(told(), []);
    const one = watch();
    await rounds(one, 8);
    assert.is(told().length, 1);
    now_ms += 11 * MIN;
    await rounds(one, 3);
    assert.is(told().length, 1);
    findings = [];
    await rounds(one, 8);
    told();
  });

  test("a clock that is set back by an hour holds nothing up: what rises, what is over, what failed, and the dead man's", async () => {
    const heartbeat = { url: `${hook.url}/ping`, method: "GET", every_ms: 30_000 } as const;
    const route = { to: "webhook", ...ROUTE, url: hook.url, wait_ms: 20_000 } as const;
    await give({ hook: route, slow: { ...route, wait_ms: 40_000 } }, { heartbeat });
    findings = [down("ixp1")];
    const one = watch();
    await rounds(one, 8);
    hook.received.splice(0);
    // Begun, and not yet old enough to be told of.
    findings = [down("core1")];
    await rounds(one, 2);
    now_ms -= 60 * MIN;
    hook.received.splice(0);
    await rounds(one, 16);
    const heard = hook.received.splice(0);
    const beats = heard.filter(({ path }) => path === "/ping");
    assert.ok(beats.length >= 2, `${beats.length} beats in 80 s, one each 30 s wanted`);
    const messages = heard.filter(({ path }) => path !== "/ping").map(({ body }) => names(JSON.parse(body)));
    assert.equal(
      // What fires on is told again, rather than never: when it was told lies ahead.
      [...new Set(messages.flat())].sort(),
      ["core1 session/upstream firing", "ixp1 session/upstream firing", "ixp1 session/upstream resolved"],
      JSON.stringify(messages),
    );
    assert.is(messages.length, 4, "each once on each route");
    findings = [];
    await give({ hook: { ...route, wait_ms: 0 } });
    await rounds(one, 8);
    hook.received.splice(0);

    // On its way, refused, and to be tried again later.
    hook.answer = { status: 500, body: "not now" };
    findings = [down("ixp1")];
    await rounds(one, 6);
    hook.answer = { status: 200, body: "" };
    hook.received.splice(0);
    now_ms -= 60 * MIN;
    await rounds(one, 2);
    assert.equal(told().map(names), [["ixp1 session/upstream firing"]]);
    findings = [];
    await rounds(one, 8);
  });

  test("rules that no operator signed do not hold: those that Muster brings go on, and it is said", async () => {
    const held = await store.rules();
    const body = Buffer.from(
      JSON.stringify({ v: 1, fleet: fleet.name, version: 99, rules: [], routes: {}, heartbeat: null }),
    );
    const viewer = await fleet.person("eve", "viewer");
    await store.putRules(storeEnvelope(seal(ALERTING_SUBJECT, body, viewer, now_ms)), held?.revision ?? null);
    findings = [down("ixp1")];
    await rounds(watch(), 5);
    const summary = await store.summary();
    assert.match(summary?.rules?.error ?? "", /eve is viewer/);
    assert.equal([summary?.firing, summary?.routes], [1, []]);
    findings = [];
    await rounds(watch(), 5);
  });

  test("the dead man's: heard at its period while looks are whole, and its failure is told", async () => {
    version = 0;
    await give({}, { heartbeat: { url: `${hook.url}/ping`, method: "GET", every_ms: 30_000 } });
    const one = watch();
    const beats = async (count: number) => {
      await rounds(one, count);
      return hook.received.splice(0).map(({ method, path }) => `${method} ${path}`);
    };
    assert.equal(await beats(12), ["GET /ping", "GET /ping"]);
    hearing = "deaf";
    assert.equal(await beats(8), []);
    hearing = "well";
    hook.answer = { status: 404, body: "no such check" };
    await beats(12);
    assert.match(
      (await store.summary())?.routes[0]?.error ?? "",
      /outside watcher answered 404: no such check/,
    );
    hook.answer = { status: 200, body: "" };
  });
});

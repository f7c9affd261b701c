/**
 * Stolen credentials of every role against every subject, stream and API of the fleet, on a real nats-server. The attempts are made from the one module of
 * subjects and the one of streams: a new subject or stream is tried by itself, and is open to nobody before `GRANTS` says so here too.
 */
import type { Bus } from "@muster/ports/bus";
import {
  BUCKETS,
  CONTROL,
  createNkey,
  intakeOf,
  PAGE_METHODS,
  patterns,
  type Role,
  RPC,
  STREAMS,
  subjects,
  TELEMETRY,
  VIEWER_CTL,
  VIEWER_RPC,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { refusedPublish, refusedSubscribe } from "../kit/refused.ts";
import { suite } from "../kit/suite.ts";

type Whose = { readonly id: string; readonly host: string };
type Name = keyof typeof subjects;

const ROLLOUT = "0".repeat(32);
const SHA = "0".repeat(64);
const rpc = Object.keys(RPC);
const ctl = Object.keys(CONTROL);
const kinds = [...Object.keys(TELEMETRY), "other"];

/** Every subject of the module, with samples of whom it may belong to. */
const SAMPLES = {
  desired: ({ id }) => [subjects.desired(id)],
  liveDesired: ({ id }) => [subjects.liveDesired(id)],
  trust: () => [subjects.trust()],
  liveTrust: () => [subjects.liveTrust()],
  release: () => [subjects.release(ROLLOUT)],
  staged: ({ id }) => [subjects.staged(ROLLOUT, id)],
  rpc: ({ id }) => rpc.map((method) => subjects.rpc(id, method)),
  rpcAll: () => rpc.map((method) => subjects.rpcAll(method)),
  telemetry: ({ id, host }) => kinds.map((kind) => subjects.telemetry(id, host, kind)),
  event: ({ id, host }) => [subjects.event(id, host, "drift")],
  history: ({ id, host }) => [subjects.history(id, host)],
  log: ({ id, host }) => [subjects.log(id, host)],
  audit: ({ id }) => [subjects.audit(id, "command")],
  ctl: () => ctl.map((method) => subjects.ctl(method)),
  host: ({ id }) => [subjects.host(id, "renew")],
  enrol: () => ["hello", "join", "access", "page"].map((method) => subjects.enrol(method)),
  page: ({ id }) => PAGE_METHODS.map((method) => subjects.page(id, method)),
  blob: ({ id }) => [subjects.blob(id, SHA, 0)],
  answer: ({ id }) => [subjects.answer(id, id, "c", "r")],
  inboxPrefix: ({ id }) => [`${subjects.inboxPrefix(id)}.x`],
  connections: () => [subjects.connections()],
  kick: () => [subjects.kick("X")],
  enrolInboxPrefix: () => [`${subjects.enrolInboxPrefix()}.x`],
} satisfies { [K in Name]: (whose: Whose) => string[] };

const NAMES = Object.keys(SAMPLES) as Name[];
const of = (names: readonly Name[], whose: Whose) => names.flatMap((name) => SAMPLES[name](whose));

/** What the broker and JetStream offer for a stream, with what may be done to it from outside. */
const API = ["INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE"];
const CONSUMER_API = ["CREATE", "DURABLE.CREATE", "DELETE", "INFO", "MSG.NEXT", "PAUSE", "RESET"];
const SYSTEM = [
  "$SYS.REQ.CLAIMS.UPDATE",
  "$SYS.REQ.CLAIMS.DELETE",
  "$SYS.REQ.SERVER.PING",
  "$SYS.REQ.SERVER.X.CONNZ",
  patterns.connected,
  patterns.disconnected,
  "$SYS.REQ.SERVER.X.RELOAD",
  "$SYS.ACCOUNT.X.CONNECT",
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.LIST",
  "$JS.API.META.LEADER.STEPDOWN",
  "$JS.API.SERVER.REMOVE",
  "nobody.has.this",
];

const keys = Object.keys(BUCKETS).map((bucket) => `$KV.${bucket}.x`);
const covers = (pattern: string, subject: string): boolean => {
  const [have, want] = [pattern.split("."), subject.split(".")];
  const fits = have.every((token, at) => token === "*" || token === want[at] || token === ">");
  return fits && (have.at(-1) === ">" ? want.length >= have.length : want.length === have.length);
};
const gets = (given: readonly string[]) =>
  STREAMS.flatMap((stream) =>
    given
      .filter((subject) => stream.subjects.some((pattern) => covers(pattern, subject)))
      .map((subject) => `$JS.API.DIRECT.GET.${stream.name}.${subject}`),
  );
const whole = (...streams: string[]) => streams.map((name) => `$JS.API.DIRECT.GET.${name}`);

/** All that can be published to, for one host. */
const everything = (whose: Whose): string[] => {
  const plain = [...of(NAMES, whose), ...keys];
  return [
    ...plain,
    ...plain.map(intakeOf),
    ...gets(plain),
    ...STREAMS.flatMap(({ name }) => [
      ...whole(name),
      ...API.map((verb) => `$JS.API.STREAM.${verb}.${name}`),
      ...CONSUMER_API.flatMap((verb) => [
        `$JS.API.CONSUMER.${verb}.${name}`,
        `$JS.API.CONSUMER.${verb}.${name}.c`,
        `$JS.API.CONSUMER.${verb}.${name}.c.x`,
      ]),
    ]),
    ...SYSTEM,
  ];
};
/** All that can be listened to: every subject, and every part of the tree above it. */
const ears = (whose: Whose): string[] =>
  [...of(NAMES, whose), ...keys.flatMap((key) => [key, intakeOf(key)]), ...SYSTEM, "_R_.store.x"].flatMap(
    (subject) => {
      const tokens = subject.split(".");
      const above = tokens.map((_, at) => [...tokens.slice(0, at), ">"].join("."));
      return [subject, ...above, tokens.map((token, at) => (at === 1 ? "*" : token)).join(".")];
    },
  );

type Grant = {
  /** What it may publish to: of its own, and of everybody's. */
  publish(own: Whose, all: readonly Whose[]): string[];
  /** Whether it may listen to this. */
  hears(own: Whose, subject: string): boolean;
};

const inbox = (own: Whose, subject: string) => subject.startsWith(`${subjects.inboxPrefix(own.id)}.`);
const answers = (own: Whose, subject: string) =>
  subject.startsWith("answer.") && subject.split(".")[2] === own.id;
const reports = (subject: string) => /^(telemetry|event)\./.test(subject);
/** Who may do what, said a second time and by hand: what is not here must be refused. */
const GRANTS: Record<Role | "enrollee", Grant> = {
  agent: {
    publish: (own) => [
      ...of(["telemetry", "event", "log", "host", "answer"], own),
      ...of(["audit", "history"], own).map(intakeOf),
      ...gets(of(["desired", "trust", "blob"], own)),
    ],
    hears: (own, subject) =>
      inbox(own, subject) || of(["liveDesired", "liveTrust", "rpc", "rpcAll"], own).includes(subject),
  },
  viewer: {
    publish: (_own, all) => [
      ...[...all.map(({ id }) => id), "all"].flatMap((id) =>
        VIEWER_RPC.map((method) => subjects.rpc(id, method)),
      ),
      ...VIEWER_CTL.map((method) => subjects.ctl(method)),
    ],
    hears: (own, subject) => inbox(own, subject) || answers(own, subject) || reports(subject),
  },
  // Invited to one host, whose id is taken to be its own here.
  guest: {
    publish: (own) => [
      ...VIEWER_RPC.map((method) => subjects.rpc(own.id, method)),
      ...VIEWER_CTL.map((method) => subjects.ctl(method)),
    ],
    hears: (own, subject) =>
      inbox(own, subject) || (subject.startsWith("telemetry.") && subject.split(".")[2] === own.host),
  },
  page: {
    publish: (own) => of(["page"], own),
    hears: (own, subject) => inbox(own, subject) || reports(subject),
  },
  operator: {
    publish: (_own, all) =>
      all.flatMap((whose) => [
        ...of(["rpc", "rpcAll", "ctl"], whose),
        ...gets(of(["desired", "trust", "release", "staged"], whose)),
      ]),
    hears: (own, subject) => inbox(own, subject) || answers(own, subject) || reports(subject),
  },
  controller: {
    publish: (own, all) => [
      ...of(["audit"], own).map(intakeOf),
      ...all.map(({ host }) => subjects.event(own.id, host, "drift")),
      ...keys.map(intakeOf),
      ...of(["connections", "kick"], own),
      ...whole("DESIRED", "TELEMETRY", "HISTORY", "EVENT", "AUDIT"),
      ...whole("KV_hosts", "KV_joins", "KV_access", "KV_rollouts", "KV_blobs", "KV_alerts"),
      ...all.flatMap((whose) => [
        ...of(["rpc", "rpcAll"], whose),
        ...of(["desired", "trust", "release", "staged", "blob"], whose).map(intakeOf),
        ...gets([
          ...of(["desired", "trust", "release", "staged", "blob", "telemetry", "history"], whose),
          ...of(["event", "audit"], whose),
          ...keys,
        ]),
      ]),
    ],
    hears: (own, subject) =>
      inbox(own, subject) ||
      answers(own, subject) ||
      reports(subject) ||
      subject === "live.trust" ||
      subject === patterns.connected ||
      subject === patterns.disconnected ||
      subject.startsWith("live.audit.") ||
      /^(ctl|enrol|host|log|page)\./.test(subject),
  },
  enrollee: {
    publish: (own) => of(["enrol"], own),
    hears: (_own, subject) => subject.startsWith(`${subjects.enrolInboxPrefix()}.`),
  },
};
type Thief = keyof typeof GRANTS;
const THIEVES = Object.keys(GRANTS) as Thief[];

suite(
  "stolen credentials",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let victim: Whose & { readonly bus: Bus };

    test.before(async () => {
      fleet = await startFleet();
      victim = { ...(await fleet.connect("agent", "core1", life.signal)), host: "core1" };
    });
    test.after(async () => {
      life.abort();
      await fleet.stop();
    });

    const open = async (thief: Thief, signal: AbortSignal): Promise<Whose & { readonly bus: Bus }> => {
      if (thief === "enrollee") return { bus: await fleet.anonymous(signal), id: "ENROL", host: "ixp1" };
      const key = createNkey("user");
      const tags = thief === "guest" ? ["host:ixp1", `id:${key.public}`] : [];
      return { ...(await fleet.connect(thief, "ixp1", signal, key, tags)), host: "ixp1" };
    };

    test("every subject of the module is tried", () => {
      assert.equal(NAMES.toSorted(), Object.keys(subjects).sort());
    });

    for (const thief of THIEVES) {
      test(`${thief}: what is not granted is refused by the broker, all of it`, async ({ signal }) => {
        const own = await open(thief, signal);
        const grant = GRANTS[thief];
        const all = [own, victim, { ...own, host: victim.host }, { ...victim, host: own.host }];
        const tried = [...new Set(all.flatMap(everything))];
        const granted = new Set(grant.publish(own, all));
        assert.equal(
          [...granted].filter((subject) => !tried.includes(subject)),
          [],
          "granted here, and no subject of the fleet",
        );
        const refused = new Set(await refusedPublish(own.bus, tried, Buffer.from("{}")));
        assert.equal(
          tried.filter((subject) => !refused.has(subject) && !granted.has(subject)),
          [],
          "open",
        );
        assert.equal(
          tried.filter((subject) => refused.has(subject) && granted.has(subject)),
          [],
          "refused and needed",
        );

        const listened = [...new Set([...ears(own), ...ears(victim)])];
        const deaf = new Set(await refusedSubscribe(own.bus, listened));
        // A server that allows `rpc.all.*` takes `rpc.all.>` too: what counts is which subjects would be heard.
        const world = [...new Set([...listened.filter((subject) => !/[*>]/.test(subject)), ...tried])];
        const opens = (pattern: string) =>
          world.filter((subject) => covers(pattern, subject) && !grant.hears(own, subject));
        assert.equal(listened.filter((subject) => !deaf.has(subject)).flatMap(opens), [], "heard");
        assert.equal(
          listened.filter(
            (subject) => deaf.has(subject) && !/[*>]/.test(subject) && grant.hears(own, subject),
          ),
          [],
          "refused and needed",
        );
        console.log(`  ${thief}: ${tried.length - granted.size} of ${tried.length} subjects refused`);
      });
    }

    test("a consumer that delivers to a host's subject: nobody of the fleet can make one", async ({
      signal,
    }) => {
      const setup = await fleet.setup(signal);
      const consumers = async () => {
        const answers = await Promise.all(
          STREAMS.map(({ name }) =>
            setup.request(`$JS.API.CONSUMER.NAMES.${name}`, new Uint8Array(), { timeout_ms: 20_000 }),
          ),
        );
        return answers.flatMap(({ body }) => JSON.parse(Buffer.from(body).toString()).consumers as string[]);
      };
      const order = (name: string) => {
        const config = {
          deliver_subject: subjects.liveDesired(victim.id),
          deliver_policy: "all",
          ack_policy: "none",
          filter_subject: "event.>",
        };
        return { name, body: Buffer.from(JSON.stringify({ stream_name: name, config })) };
      };
      const { name, body } = order("EVENT");
      const ways = [`CREATE.${name}`, `CREATE.${name}.c`, `CREATE.${name}.c.x`, `DURABLE.CREATE.${name}.c`];
      for (const thief of THIEVES) {
        const { bus } = await open(thief, signal);
        const wanted = ways.map((way) => `$JS.API.CONSUMER.${way}`);
        assert.equal(await refusedPublish(bus, wanted, body), wanted, thief);
      }
      assert.equal(await consumers(), []);

      // With the rights of `ctl init` the same request does deliver there: what is refused above is worth refusing.
      const heard: string[] = [];
      victim.bus.subscribe(subjects.liveDesired(victim.id), {}, (message) => {
        heard.push(message.subject);
      });
      victim.bus.publish(subjects.event(victim.id, "core1", "drift"), Buffer.from("bait"));
      await victim.bus.roundTrip();
      await setup.request(`$JS.API.CONSUMER.CREATE.${name}`, body, { timeout_ms: 20_000 });
      for (const end = Date.now() + 20_000; heard.length === 0 && Date.now() < end; )
        await victim.bus.roundTrip();
      assert.ok(heard.length > 0, "the attack has no effect even where it is allowed: it proves nothing");
    });
  },
  { limit_ms: 20_000 },
);

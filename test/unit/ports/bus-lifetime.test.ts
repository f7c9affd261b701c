/**
 * How the bus comes, goes and comes back, on real servers in operator mode: fresh credentials, expiry, refusals, nonces,
 * certificates, IPv6, brokers that stop, hang or lie.
 */
import type { Server } from "node:net";
import { type Bus, type BusCredentials, type BusEvent, type BusOptions, connectBus } from "@muster/ports/bus";
import { makeCa } from "@muster/ports/csr";
import { FleetError } from "@muster/protocol/errors";
import { accountJwt, memorySigner, operatorJwt, sentinelJwt, userJwt } from "@muster/protocol/jwt";
import { createNkey, type Nkey, signEd25519 } from "@muster/protocol/nkey";
import * as assert from "uvu/assert";
import { eventually } from "../../kit/eventually.ts";
import { assertWithin } from "../../kit/figures.ts";
import { type NatsServer, startNats } from "../../kit/nats.ts";
import { suite } from "../../kit/suite.ts";
import { bytes, failure, lyingBroker, proxy, sockets, text, until } from "./brokers.ts";

suite(
  "bus port: lifetime",
  (test) => {
    const life = new AbortController();
    const operator = createNkey("operator");
    const system = createNkey("account");
    const fleet = createNkey("account");
    const enrol = createNkey("account");
    const role = createNkey("account");
    const fakes: Server[] = [];
    let server: NatsServer;

    async function operatorConfig(): Promise<string> {
      const now = Date.now();
      const by = memorySigner(operator);
      const none = { scopes: [], jetstream: false };
      const permissions = {
        pub: ["rpc.>", "event.{{subject()}}.>"],
        sub: ["_INBOX_{{subject()}}.>", "rpc.>"],
        resp: { max: 1, ttl_ms: 5_000 },
      };
      const accounts: [Nkey, string][] = [
        [system, await accountJwt({ name: "SYS", key: system.public, ...none }, by, now)],
        [enrol, await accountJwt({ name: "ENROL", key: enrol.public, ...none }, by, now)],
        [
          fleet,
          await accountJwt(
            {
              name: "FLEET",
              key: fleet.public,
              jetstream: false,
              scopes: [{ role: "agent", key: role.public, permissions }],
            },
            by,
            now,
          ),
        ],
      ];
      const sentinel = await sentinelJwt(
        { key: createNkey("user").public, permissions: { pub: ["enrol.>"], sub: ["_INBOX.>"] } },
        memorySigner(enrol),
        now,
      );
      return [
        `operator: ${await operatorJwt({ name: "test", signing_keys: [], system_account: system.public, key: operator.public }, by, now)}`,
        `system_account: ${system.public}`,
        "resolver: MEMORY",
        `resolver_preload { ${accounts.map(([key, jwt]) => `${key.public}: ${jwt}`).join("\n")} }`,
        `default_sentinel: "${sentinel}"`,
      ].join("\n");
    }

    const credentialsOf = async (user: Nkey, life_ms: number): Promise<BusCredentials> => ({
      jwt: await userJwt(
        { name: "core1", key: user.public, account: fleet.public, expires_ms: Date.now() + life_ms },
        memorySigner(role),
        Date.now(),
      ),
      sign: (nonce) => signEd25519(user.key, nonce),
    });

    const open = (more: Partial<BusOptions>, signal = life.signal): Promise<Bus> =>
      connectBus(
        {
          servers: [server.address],
          ...(server.ca_pem === undefined ? {} : { ca_pem: server.ca_pem }),
          name: "test",
          inbox_prefix: "_INBOX",
          reconnect_max_ms: 200,
          connect_timeout_ms: 5_000,
          ...more,
        },
        signal,
      );

    test.before(async () => {
      server = await startNats({ jetstream: false, config: await operatorConfig() });
    });
    test.after(async () => {
      life.abort();
      for (const fake of fakes) fake.close();
      await server.stop();
    });

    test("without credentials it lands in the enrolment account, and may only what that may", async () => {
      const events: BusEvent[] = [];
      const bus = await open({ on_status: (event) => events.push(event) });
      const began = Date.now();
      assert.is((await failure(bus.request("rpc.x", bytes(""), { timeout_ms: 5_000 }))).code, "BUS_DENIED");
      assertWithin(Date.now() - began, 1_000, "what is said at once");
      assert.is(
        (await failure(bus.request("enrol.nonce", bytes(""), { timeout_ms: 5_000 }))).code,
        "NO_RESPONDER",
      );
      bus.subscribe("rpc.>", {}, () => undefined);
      bus.publish("event.forged", bytes(""));
      await until(() => events.filter((event) => event.type === "denied").length >= 3);
      assert.ok(
        events.some((e) => e.type === "denied" && e.operation === "subscription" && e.subject === "rpc.>"),
      );
      await bus.close();
    });

    test("an inbox that is not allowed is said at once", async () => {
      const user = createNkey("user");
      const bus = await open({
        credentials: () => credentialsOf(user, 60_000),
        inbox_prefix: "_INBOX_other",
      });
      assert.is((await failure(bus.request("rpc.x", bytes(""), { timeout_ms: 5_000 }))).code, "BUS_DENIED");
      await bus.close();
    });

    test("an expired JWT is replaced by a fresh one, again and again; subscriptions stay", async () => {
      const user = createNkey("user");
      let asked = 0;
      const events: BusEvent[] = [];
      const bus = await open({
        inbox_prefix: `_INBOX_${user.public}`,
        credentials: () => {
          asked++;
          return credentialsOf(user, 1_500);
        },
        on_status: (event) => events.push(event),
      });
      bus.subscribe("rpc.me", {}, (message) => void bus.respond(message, bytes("still here")));
      await until(() => events.filter((event) => event.type === "reconnected").length >= 3, 15_000);
      assert.ok(asked >= 4);
      // The next end of a JWT may fall on the question.
      await eventually(async () => {
        const answer = await bus.request("rpc.me", bytes(""), { timeout_ms: 1_000 });
        assert.is(text(answer.body), "still here");
      }, 10_000);
      await bus.close();
    });

    test("stale credentials are refused, reported and never the end", async () => {
      const user = createNkey("user");
      const events: BusEvent[] = [];
      let good = false;
      const opening = open({
        inbox_prefix: `_INBOX_${user.public}`,
        credentials: () => credentialsOf(user, good ? 60_000 : -60_000),
        on_status: (event) => events.push(event),
      });
      await until(() => events.filter((event) => event.type === "auth_failed").length >= 4);
      good = true;
      const bus = await opening;
      assert.ok(bus.connected);
      const failed = events.find((event) => event.type === "auth_failed");
      assert.is(failed?.type === "auth_failed" ? failed.error.code : "", "NOT_LOGGED_IN");
      await bus.close();
      const once_only = open({ first_connect: "once", credentials: () => credentialsOf(user, -60_000) });
      assert.is((await failure(once_only)).code, "NOT_LOGGED_IN");
    });

    test("the key of another is refused", async () => {
      const user = createNkey("user");
      const thief = createNkey("user");
      const credentials = {
        jwt: (await credentialsOf(user, 60_000)).jwt,
        sign: (nonce: Uint8Array) => signEd25519(thief.key, nonce),
      };
      assert.is(
        (await failure(open({ first_connect: "once", credentials: () => credentials }))).code,
        "NOT_LOGGED_IN",
      );
    });

    test("comes back when the broker does; what is sent meanwhile fails at once", async () => {
      const user = createNkey("user");
      const events: BusEvent[] = [];
      const bus = await open({
        inbox_prefix: `_INBOX_${user.public}`,
        credentials: () => credentialsOf(user, 60_000),
        on_status: (event) => events.push(event),
      });
      bus.subscribe("rpc.me", {}, (message) => {
        if (text(message.body) !== "silence") bus.respond(message, bytes("back"));
      });
      const pending = failure(bus.request("rpc.me", bytes("silence"), { timeout_ms: 30_000 }));
      await bus.roundTrip();
      await server.halt("SIGKILL");
      assert.is((await pending).code, "BUS_UNREACHABLE");
      assert.is(bus.connected, false);
      assert.throws(
        () => bus.publish("rpc.me", bytes("")),
        (error: unknown) => error instanceof FleetError && error.code === "BUS_UNREACHABLE",
      );
      await until(() => events.filter((event) => event.type === "unreachable").length >= 3);
      await server.start();
      await until(() => bus.connected);
      assert.is(text((await bus.request("rpc.me", bytes(""), { timeout_ms: 10_000 })).body), "back");
      await bus.close();
    });

    test("a broker that hangs is noticed, and costs no descriptors", async () => {
      const user = createNkey("user");
      const bus = await open({
        inbox_prefix: `_INBOX_${user.public}`,
        credentials: () => credentialsOf(user, 60_000),
        ping_interval_ms: 700,
        connect_timeout_ms: 800,
        reconnect_max_ms: 20,
      });
      await server.freeze();
      try {
        assert.is((await failure(bus.roundTrip(300))).code, "TIMEOUT");
        await until(() => !bus.connected);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        const before = sockets();
        await new Promise((resolve) => setTimeout(resolve, 3_500));
        assert.ok(sockets() <= before + 2, `${before} sockets became ${sockets()}`);
      } finally {
        server.signal("SIGCONT");
      }
      await until(() => bus.connected);
      await bus.close();
    });

    test("reconnect() takes fresh credentials at once", async () => {
      const user = createNkey("user");
      let asked = 0;
      const bus = await open({
        inbox_prefix: `_INBOX_${user.public}`,
        reconnect_max_ms: 60_000,
        credentials: () => {
          asked++;
          return credentialsOf(user, 60_000);
        },
      });
      bus.subscribe("rpc.me", {}, (message) => void bus.respond(message, bytes("yes")));
      await bus.reconnect();
      assert.is(asked, 2);
      assert.is(text((await bus.request("rpc.me", bytes(""), { timeout_ms: 10_000 })).body), "yes");
      await bus.close();
    });

    test("close() lets handlers end; the signal ends the bus; before a connection it cancels", async () => {
      const user = createNkey("user");
      const options = {
        inbox_prefix: `_INBOX_${user.public}`,
        credentials: () => credentialsOf(user, 60_000),
      };
      const asker = await open(options);
      const bus = await open(options);
      let begun = false;
      bus.subscribe("rpc.slow", {}, async (message) => {
        begun = true;
        await new Promise((resolve) => setTimeout(resolve, 200));
        bus.respond(message, bytes("done"));
      });
      await bus.roundTrip();
      const answer = asker.request("rpc.slow", bytes(""), { timeout_ms: 10_000 });
      await until(() => begun);
      await bus.close();
      assert.is(text((await answer).body), "done");
      await asker.close();
      const own = new AbortController();
      const bound = await open(options, own.signal);
      own.abort();
      await until(() => !bound.connected);
      const never = new AbortController();
      const on_status = ({ type }: BusEvent) => {
        if (type === "unreachable") never.abort();
      };
      const began = Date.now();
      const error = await failure(open({ servers: ["127.0.0.1:1"], on_status }, never.signal));
      assert.is(error.code, "CANCELLED");
      assert.match(error.detail, /127\.0\.0\.1:1/);
      assertWithin(Date.now() - began, 2_000);
    });

    test("another CA and another name are refused; a name and an address in the certificate are taken", async () => {
      const other = await makeCa({ common_name: "other", not_after: Date.now() + 3_600_000 });
      const wrong = await failure(open({ first_connect: "once", ca_pem: other.certificate_pem }));
      assert.is(wrong.code, "BUS_UNREACHABLE");
      assert.match(wrong.detail, /not signed by the pinned CA|certificate/);
      const named = await failure(open({ first_connect: "once", server_name: "elsewhere.test" }));
      assert.match(named.detail, /another name/);
      for (const more of [{ server_name: "server.test" }, { servers: [`localhost:${server.port}`] }, {}]) {
        const bus = await open({ first_connect: "once", ...more });
        await bus.close();
      }
    });

    test("IPv6, with TLS from the first byte", async () => {
      const six = await startNats({ host: "::1", jetstream: false, handshake_first: true });
      try {
        const options = { servers: [six.address], handshake_first: true, first_connect: "once" as const };
        const bus = await open({ ...options, ...(six.ca_pem === undefined ? {} : { ca_pem: six.ca_pem }) });
        assert.match(bus.server ?? "", /^\[::1\]:/);
        assertWithin(await bus.roundTrip(), 1_000);
        await bus.close();
      } finally {
        await six.stop();
      }
    });

    test("signs nothing but a nonce, and nothing at all where none is asked for", async () => {
      for (const nonce of ["eyJhbGciOiJ4In0.eyJzdWIiOiJ4In0", "a b", "x".repeat(200), "", undefined]) {
        const lying = await lyingBroker(nonce);
        fakes.push(lying.server);
        let signed = 0;
        const credentials: BusCredentials = {
          jwt: "jwt",
          sign: () => {
            signed++;
            return new Uint8Array(64);
          },
        };
        const opening = connectBus(
          {
            servers: [lying.address],
            name: "x",
            inbox_prefix: "_INBOX",
            first_connect: "once",
            credentials: () => credentials,
          },
          life.signal,
        );
        assert.is((await failure(opening)).code, "BAD_SIGNATURE", String(nonce));
        assert.is(signed, 0);
        assert.not.match(lying.heard(), /CONNECT/);
      }
    });

    test("the first try after a loss is spread out, too, though the broker is there at once", async () => {
      const lonely = await startNats({ jetstream: false, tls: false });
      const through = await proxy(lonely.port);
      fakes.push(through.server);
      let back = 0;
      const bus = await connectBus(
        {
          servers: [through.address],
          name: "x",
          inbox_prefix: "_INBOX",
          reconnect_max_ms: 800,
          on_status: (event) => {
            if (event.type === "reconnected") back = Date.now();
          },
        },
        life.signal,
      );
      const waits: number[] = [];
      for (let count = 0; count < 6; count++) {
        back = 0;
        const cut = Date.now();
        through.cut();
        await until(() => back > 0);
        waits.push(back - cut);
      }
      await bus.close();
      await lonely.stop();
      assert.ok(Math.max(...waits) - Math.min(...waits) > 100, `waits of ${waits.join(", ")} ms`);
      assertWithin(Math.max(...waits), 1_200, `waits of ${waits.join(", ")} ms:`);
    });

    test("the certificate is checked for a literal address, too", async () => {
      const right = await startNats({ jetstream: false, names: { ip_addresses: ["127.0.0.1"] } });
      const wrong = await startNats({ jetstream: false, names: { dns_names: ["localhost"] } });
      try {
        for (const [broker, good] of [
          [right, true],
          [wrong, false],
        ] as const) {
          const opening = open({
            servers: [broker.address],
            first_connect: "once",
            ca_pem: broker.ca_pem ?? "",
          });
          if (good) await (await opening).close();
          else assert.match((await failure(opening)).detail, /another name/);
        }
      } finally {
        await right.stop();
        await wrong.stop();
      }
    });
  },
  { limit_ms: 30_000 },
);

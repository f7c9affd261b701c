/**
 * A host that asks for fresh credentials over a broker and from controllers that lie, by the agent's own code over a real broker: papers of another machine
 * or name, an answer that was given before. Nothing of it is kept, and the host is not taken for a copy of itself afterwards: its mark is as it was.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AgentConfig, placesOf } from "@muster/agent/config";
import { CredentialStore } from "@muster/agent/credentials";
import { type Identity, openIdentity } from "@muster/agent/identity";
import { Marks } from "@muster/agent/mark";
import { renewLoop, type Way } from "@muster/agent/renewal";
import { waysOf } from "@muster/agent/renewal-ways";
import { makeSshKey } from "@muster/agent/sshkey";
import { Bell } from "@muster/agent/wait";
import type { Bus } from "@muster/ports/bus";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { openLog } from "@muster/ports/log";
import { createNkey, parseJson, patterns, subjects } from "@muster/protocol";
import { type Credentials, type RenewReply, RenewRequest } from "@muster/protocol/enrolment";
import { FleetError } from "@muster/protocol/errors";
import * as assert from "uvu/assert";
import { realSshCertificates } from "../kit/agent.ts";
import { temporaryDirectory } from "../kit/child.ts";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { memoryIssuer, type TestIssuer } from "../kit/issuer.ts";
import { suite } from "../kit/suite.ts";

const HOUR_MS = 3_600_000;
const HOST = "core1";
const ALL = ["bus", "service", "ssh"] as const;

type Key = { readonly id: string; readonly csr: string; readonly ssh_public_key: string };

suite(
  "a hostile broker or controller renews",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let issuer: TestIssuer;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;
    let identity: Identity;
    let credentials: CredentialStore;
    let marks: Marks;
    let by_controller: Way;
    let forgotten = 0;
    /** What the next request is answered. */
    let answers: (asked: RenewRequest) => Promise<RenewReply | { error: { code: string; detail: string } }>;

    const papersOf = async (
      name: string,
      { id, csr, ssh_public_key }: Key,
      life_ms = HOUR_MS,
    ): Promise<Credentials> => {
      const user = { name, key: id, expires_ms: Date.now() + life_ms };
      const [user_jwt, service, ssh] = await Promise.all([
        issuer.userJwt("agent", user),
        issuer.serviceCertificate(name, csr),
        issuer.sshCertificate(name, ssh_public_key),
      ]);
      return { user_jwt: user_jwt.text, service_certificate: service.text, ssh_certificate: ssh.text };
    };
    const own = (asked: RenewRequest): Key => ({
      id: identity.id,
      csr: asked.csr ?? "",
      ssh_public_key: asked.ssh_public_key ?? "",
    });
    const renew = async (): Promise<string> => {
      try {
        await by_controller.renew(ALL, life.signal);
        return "taken";
      } catch (error) {
        if (error instanceof FleetError) return error.code;
        throw error;
      }
    };
    /** Papers say by the second when they were issued. */
    const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1_010 - (Date.now() % 1_000)));

    test.before(
      async () => {
        fleet = await startFleet();
        issuer = memoryIssuer(fleet);
        place = await temporaryDirectory("renewal");
        await realSshCertificates(issuer, place.path);
        for (const path of ["etc/muster", "etc/ssh", "state", "run"])
          await mkdir(join(place.path, path), { recursive: true });
        const prefix = place.path;
        const config = AgentConfig.parse({ prefix, state_directory: "/state", runtime_directory: "/run" });
        const places = placesOf(config, join(prefix, "agent.json"));
        [identity, credentials, marks] = await Promise.all([
          openIdentity(places.keys, places.ssh_host_key),
          CredentialStore.open(places.credentials),
          Marks.open(places.mark),
        ]);
        const csr = await makeCsr(identity.tls_pem, { common_name: HOST });
        const key = { id: identity.id, csr, ssh_public_key: identity.ssh.public_key };
        await credentials.take(HOST, await papersOf(HOST, key), identity, Date.now());
        const controller = await fleet.connect("controller", "hostile", life.signal);
        controller.bus.subscribe(patterns.host, { concurrency: 1 }, async (message) => {
          const reply = await answers(parseJson(RenewRequest, message.body, "renewal"));
          const body = "error" in reply ? reply : { ok: reply };
          controller.bus.respond(message, Buffer.from(JSON.stringify(body)));
        });
        const { bus }: { bus: Bus } = await fleet.connect("agent", HOST, life.signal, identity.nkey);
        [by_controller] = waysOf({
          ...{ bus, identity, credentials, marks, now: Date.now, vault_bell: new Bell() },
          run: () => Promise.reject(new Error("nothing is run here")),
          bundle: () => null,
          events: { tell: () => undefined } as never,
          forgotten: () => forgotten++,
        }) as [Way, Way];
      },
      { limit_ms: 30_000 },
    );
    test.after(async () => {
      life.abort();
      await fleet.stop();
      await place.release();
    });

    test("papers of another machine or in another name are refused, and the mark stays", async () => {
      await nextSecond();
      const before = { mark: await marks.tell(), kept: credentials.kept };
      const tls = makeKey("p256").private_pem;
      const other: Key = {
        id: createNkey("user").public,
        csr: await makeCsr(tls, { common_name: HOST }),
        ssh_public_key: makeSshKey("x").public_key,
      };
      for (const what of ["user_jwt", "service_certificate", "ssh_certificate"] as const) {
        answers = async (asked) => {
          const honest = await papersOf(HOST, own(asked));
          return { ...honest, [what]: (await papersOf(HOST, other))[what] };
        };
        assert.is(await renew(), "BAD_CERTIFICATE", what);
      }
      answers = async (asked) => papersOf("ixp1", own(asked));
      assert.is(await renew(), "BAD_CERTIFICATE", "another name");
      answers = async () => ({});
      assert.is(await renew(), "FAILED", "nothing");
      assert.equal({ mark: await marks.tell(), kept: credentials.kept }, before);
    });

    test("an answer that was given before is refused, whatever else comes with it; a new one is taken", async () => {
      const first = credentials.kept?.credentials as Credentials;
      await nextSecond();
      const told = await marks.tell();
      let second: Credentials | undefined;
      answers = async (asked) => (second = await papersOf(HOST, own(asked)));
      assert.is(await renew(), "taken");
      assert.equal((await marks.tell()).held, told.next, "the mark is the next one");
      const before = { mark: await marks.tell(), kept: credentials.kept };
      await nextSecond();
      answers = async () => second as Credentials;
      assert.is(await renew(), "REPLAYED", "the last answer");
      answers = async () => first;
      assert.is(await renew(), "REPLAYED", "the one before");
      for (const what of ["user_jwt", "ssh_certificate", "service_certificate"] as const) {
        answers = async (asked) => ({ ...(await papersOf(HOST, own(asked))), [what]: first[what] });
        assert.is(await renew(), "REPLAYED", what);
      }
      assert.equal({ mark: await marks.tell(), kept: credentials.kept }, before);
    });

    test("it asks to be let in again where controllers say twice that they do not know it", async () => {
      const error = {
        code: "NOT_FOUND",
        detail: `no host is enrolled as ${subjects.host(identity.id, "x")}`,
      };
      answers = async () => ({ error });
      for (const times of [0, 1]) {
        assert.is(await renew(), "NOT_FOUND");
        assert.is(forgotten, times);
      }
    });

    test("what nobody renews is asked for again and again, and told once when a third of its life is left", async () => {
      const csr = await makeCsr(identity.tls_pem, { common_name: HOST });
      const key = { id: identity.id, csr, ssh_public_key: identity.ssh.public_key };
      await credentials.take(HOST, await papersOf(HOST, key, 10_000), identity, Date.now());
      const { from, to } = credentials.kept?.spans.bus ?? { from: 0, to: 0 };
      const told: string[] = [];
      /** What was renewed, and after how many tries, at that time of its life; the clock stands. */
      const at = (part: number) =>
        new Promise<string>((resolve, reject) => {
          const ends = new AbortController();
          let tries = 0;
          const way: Way = {
            ...{ names: () => ["bus"], wanted: () => [], open: () => true, bell: new Bell() },
            async renew() {
              tries += 1;
              if (tries < 3) throw new FleetError("VAULT_SEALED", "for a test");
            },
          };
          renewLoop(
            {
              ...{ credentials, ways: [way], log: openLog({ name: "agent", level: "silent" }) },
              events: {
                tell: (event: { severity: string; what: string }) =>
                  told.push(`${event.severity} ${event.what}`),
              } as never,
              now: () => from + part * (to - from),
              async renewed(names) {
                ends.abort();
                resolve(`${names} ${tries}`);
              },
            },
            ends.signal,
          ).catch(reject);
        });
      assert.is(await at(0.6), "bus 3");
      assert.equal(told, []);
      assert.is(await at(0.7), "bus 3");
      assert.is(told.length, 1, told.join());
      assert.match(told[0] ?? "", /^error the bus credential ends .*Z and could not be renewed$/);
    });
  },
  { limit_ms: 20_000 },
);

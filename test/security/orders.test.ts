/**
 * Orders and states at a real agent that are signed, and not by whom, when, where or for what they must be: certificates of other mounts, envelopes that
 * are late, cut, moved or used before, states out of their order, ways that the manifest does not open, a signer that is void in mid-rollout.
 */
import {
  type Envelope,
  type EnvelopeSigner,
  hashOfContent,
  seal,
  subjects,
  type TrustBundle,
} from "@muster/protocol";
import * as assert from "uvu/assert";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { PeopleCa, type Person } from "../kit/people.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";
import {
  bringIn,
  contentOf,
  HOST_FILE,
  type Host,
  manifestOf,
  openHost,
  type Signed,
  told,
  until,
} from "./host.ts";

const MINUTE_MS = 60_000;

suite(
  "signed orders",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let host: Host;
    let alice: Person;
    let bundle: TrustBundle;
    const mounts: Record<string, PeopleCa> = {};
    const signed: Signed[] = [];

    const trust = async (next: TrustBundle) => {
      bundle = next;
      const { headers, body } = fleet.signBundle(next);
      await host.bus.publishStored(subjects.trust(), body, { headers });
      const holds = new RegExp(`"version":${next.version}[,}].*newer trust bundle`);
      await until(`bundle ${next.version}`, () => holds.test(host.agent.output()));
    };
    const ask = (subject: string, envelope: Envelope) => told(host.bus, host.id, subject, envelope);
    const rpc = (method: string) => subjects.rpc(host.id, method);
    const order = (
      method: string,
      args: object = {},
      by: EnvelopeSigner = alice,
      at_ms = Date.now(),
      subject = rpc(method),
    ) => seal(subject, Buffer.from(JSON.stringify({ v: 1, args })), by, at_ms);
    const offer = ({ headers, body }: Envelope): Promise<string> =>
      host.manifestRefused(() => host.bus.publishStored(subjects.desired(host.id), body, { headers }));
    const state = (
      generation: number,
      by: EnvelopeSigner,
      change: Parameters<typeof manifestOf>[4] = {},
      at_ms = Date.now(),
      subject = subjects.desired(host.id),
    ) =>
      seal(
        subject,
        Buffer.from(JSON.stringify(manifestOf(fleet, host.id, generation, contentOf("evil\n"), change))),
        by,
        at_ms,
      );

    test.before(
      async () => {
        fleet = await startFleet();
        alice = await fleet.operators.person("alice", "operator", { from_ms: -7_200_000 });
        host = await openHost(fleet, alice, life.signal);
        for (const mount of ["services", "identity"]) mounts[mount] = await PeopleCa.make(mount);
        mounts.controllers = fleet.controllers;
        await trust({
          ...fleet.bundle,
          version: 2,
          services_ca: [mounts.services?.pem ?? ""],
          identity_ca: [mounts.identity?.pem ?? ""],
        });
        for (const generation of [1, 2]) {
          const text = `${generation}\n`;
          const return_to = generation === 1 ? null : (signed[0]?.manifest.content_hash ?? null);
          const release = { id: randomHex(), return_to, not_after: Date.now() + 10 * MINUTE_MS };
          const manifest = manifestOf(fleet, host.id, generation, contentOf(text), { release });
          signed.push(await bringIn(host, manifest, alice, text));
        }
      },
      { limit_ms: 40_000 },
    );
    test.after(async () => {
      await host.agent.remove();
      life.abort();
      await fleet.stop();
    });
    test.after.each(async () => {
      assert.is(await host.agent.read(HOST_FILE), `${signed.length}\n`, "the host obeyed");
    });

    for (const mount of ["services", "identity", "controllers"]) {
      for (const rank of ["operator", "admin", "kit"]) {
        test(`a certificate of ${mount} that says ${rank} is nobody's`, async () => {
          const forged = await (mounts[mount] as PeopleCa).person("alice", rank);
          assert.is(await ask(rpc("reconcile"), order("reconcile", {}, forged)), "BAD_CERTIFICATE");
          assert.is(await offer(state(3, forged)), "BAD_CERTIFICATE");
        });
      }
    }

    test("a rank that is too low, a CA that nobody knows, a certificate that is over", async () => {
      const stranger = await (await PeopleCa.make("operators")).person("alice", "admin");
      const late = await fleet.operators.person("alice", "operator", {
        from_ms: -7_200_000,
        to_ms: -3_600_000,
      });
      const rows: [EnvelopeSigner, string][] = [
        [await fleet.person("vera", "viewer"), "NOT_ALLOWED"],
        [await fleet.controllers.person("controller", "controller"), "NOT_ALLOWED"],
        [await fleet.person("root", "root"), "BAD_CERTIFICATE"],
        [await fleet.person("x", "controller"), "BAD_CERTIFICATE"],
        [stranger, "BAD_CERTIFICATE"],
        [late, "BAD_CERTIFICATE"],
      ];
      for (const [by, code] of rows) {
        assert.is(await ask(rpc("switch"), order("switch", {}, by)), code);
        assert.is(await offer(state(3, by)), code);
      }
      const ci = await fleet.person("forge", "ci");
      const drain = { name: "drain", on: true, why: "x", for_ms: null };
      for (const [method, args] of [
        ["exec", { command: ["id"], from: "x", longest_ms: 1_000 }],
        ["reboot", { why: "x" }],
        ["rename", { name: "x" }],
        ["switch", drain],
      ] as const)
        assert.is(await ask(rpc(method), order(method, args, ci)), "NOT_ALLOWED", `ci: ${method}`);
    });

    test("a command that was used, that is late or early, cut, or moved to another subject or host", async () => {
      const once = order("reconcile");
      assert.is(await ask(rpc("reconcile"), once), "ok");
      assert.is(await ask(rpc("reconcile"), once), "REPLAYED");
      for (const off_ms of [-61_000, 61_000, -3_600_000])
        assert.is(
          await ask(rpc("reconcile"), order("reconcile", {}, alice, Date.now() + off_ms)),
          "CLOCK_SKEW",
        );
      const whole = order("reconcile");
      const cut = { ...whole, body: Buffer.from('{"v":1,"args":{} }') };
      assert.is(await ask(rpc("reconcile"), cut), "BAD_SIGNATURE");
      assert.is(await ask(rpc("reconcile"), { ...whole, body: whole.body.subarray(0, -1) }), "INVALID");
      assert.is(await ask(rpc("facts"), order("reconcile")), "BAD_SIGNATURE");
      assert.is(await ask(subjects.rpcAll("reconcile"), order("reconcile")), "BAD_SIGNATURE");
      const others = order("reconcile", {}, alice, Date.now(), subjects.rpc(alienId(), "reconcile"));
      assert.is(await ask(rpc("reconcile"), others), "BAD_SIGNATURE");
    });

    test("a state that is older, for another host, another fleet, from the future or of another subject", async () => {
      const [first, second] = signed;
      if (first === undefined || second === undefined) throw new Error("two are needed");
      const rows: [string, Envelope, string][] = [
        ["the one before", first.envelope, "STALE_GENERATION"],
        ["a lower number", state(1, alice), "STALE_GENERATION"],
        ["the same number", state(2, alice), "CONFLICT"],
        ["a higher number, signed before", state(3, alice, {}, Date.now() - 50_000), "STALE_GENERATION"],
        ["signed in two hours", state(3, alice, {}, Date.now() + 7_200_000), "CLOCK_SKEW"],
        ["another host's", state(3, alice, { id: alienId() }), "WRONG_TARGET"],
        ["another fleet's", state(3, alice, { fleet: "other" }), "WRONG_TARGET"],
        ["another hash", state(3, alice, { content_hash: hashOfContent(contentOf("x")) }), "ALTERED"],
        [
          "sealed for another host",
          state(3, alice, {}, Date.now(), subjects.desired(alienId())),
          "BAD_SIGNATURE",
        ],
        [
          "sealed for a rollout",
          state(3, alice, {}, Date.now(), subjects.staged(randomHex(), host.id)),
          "BAD_SIGNATURE",
        ],
      ];
      for (const [what, envelope, code] of rows) assert.is(await offer(envelope), code, what);
    });

    test("a state that a controller hands out after its release lapsed, also where it says that it was before", async () => {
      const release = { id: randomHex(), return_to: null, not_after: Date.now() - 1_000 };
      assert.is(await offer(state(3, alice, { release })), "NOT_ALLOWED");
      const { headers, body } = state(3, alice, { release: { ...release, id: randomHex() } });
      const before = { "Nats-Time-Stamp": new Date(release.not_after - 60_000).toISOString() };
      assert.is(await offer({ headers: { ...headers, ...before }, body }), "NOT_ALLOWED");
    });

    test("a state that is refused puts the host into none of its groups", async () => {
      const dora = await fleet.person("dora");
      const policy = { ...bundle.policy, operators: { dora: { groups: ["wide"] } } };
      await trust({ ...bundle, version: bundle.version + 1, policy });
      const content = { ...contentOf("evil\n"), groups: ["core", "wide"] };
      const intent = {
        message: "",
        plan_index: "0".repeat(64),
        overwrite: [],
        force: false,
        within_ms: null,
      };
      const change = { content, content_hash: hashOfContent(content), intent };
      assert.is(await offer(state(3, alice, change)), "CONFLICT");
      assert.is(await ask(rpc("reconcile"), order("reconcile", {}, dora)), "NOT_ALLOWED");
    });

    test("a switch that the manifest does not declare, a way back that it does not name", async () => {
      for (const name of ["drain", "hold"]) {
        const args = { name, on: true, why: "x", for_ms: 1_000 };
        assert.is(await ask(rpc("switch"), order("switch", args)), "NOT_ALLOWED", name);
      }
      const { release } = signed[1]?.manifest ?? {};
      const back = (id: string | undefined, content_hash: string) =>
        ask(rpc("return"), order("return", { release: id, content_hash }));
      assert.is(await back(release?.id, hashOfContent(contentOf("evil\n"))), "NOT_ALLOWED");
      assert.is(await back(randomHex(), release?.return_to ?? ""), "CONFLICT");
    });

    test("a signer who is void in mid-rollout: what he signed before and comes after is refused", async () => {
      const bob = await fleet.person("bob");
      const before = state(3, bob);
      const command = order("reconcile", {}, bob);
      await trust({
        ...bundle,
        version: bundle.version + 1,
        // Later than when both were signed, whatever the clock's grain.
        voided: [{ name: "bob", since: Date.now() + 1 }],
      });
      assert.is(await offer(before), "VOIDED");
      assert.is(await ask(rpc("reconcile"), order("reconcile", {}, bob)), "VOIDED");
      // Signed while he still was somebody, and a command is judged now.
      assert.is(await ask(rpc("reconcile"), command), "VOIDED");
      assert.is(await ask(rpc("reconcile"), order("reconcile")), "ok");
    });

    test("after a restart of the agent a command that was used is refused", async () => {
      const once = order("reconcile");
      assert.is(await ask(rpc("reconcile"), once), "ok");
      await host.agent.stop("SIGKILL");
      host.agent.start();
      await until(
        "the agent is back",
        async () => (await ask(rpc("ping"), order("ping")).catch(() => "")) === "ok",
      );
      assert.ok(["REPLAYED", "CLOCK_SKEW"].includes(await ask(rpc("reconcile"), once)));
    });
  },
  { limit_ms: 40_000 },
);

/** An id of a host that is not this one. */
function alienId(): string {
  return "UAMX3TWBQBKFYXUK4MGJJV5ALUIN4CJ43W2Q2BR3R4WVG3EYEBEOJNDV";
}

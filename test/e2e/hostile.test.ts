// limit: 300 s
/**
 * What thieves can do: one with a host's credentials, one who is the controller, one with the papers of a viewer. The broker refuses what is not
 * theirs, Vault what the controller may not have, and the host every manifest and command that no operator of the fleet signed, for it, in this form.
 * A refusal is red with its code, told as an event, and the last good state stays.
 */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { openVault } from "@muster/ports/vault";
import {
  type Envelope,
  type EnvelopeSigner,
  hashOfContent,
  intakeOf,
  Manifest,
  Reply,
  seal,
  signEd25519,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { subjects } from "@muster/protocol/subjects";
import * as assert from "uvu/assert";
import { PeopleCa } from "../kit/people.ts";
import { suite } from "../kit/suite.ts";
import { type Fleet, type HostRow, measured, openFleet } from "./kit.ts";
import {
  approleOf,
  controllerBus,
  headersOf,
  intruder,
  type Operator,
  operatorBus,
  operatorOf,
  type Persona,
  thiefBus,
  viewerSigner,
} from "./persona.ts";

const FILE = "/etc/netinfo/hostile";
const REFUSED_MS = 5_000;
const PIECE = (content: string) => `file:\n  ${FILE}: { content: "${content}\\n" }\n`;

suite(
  "hostile",
  (test) => {
    let fleet: Fleet;
    let alice: Operator;
    let hostile: Bus;
    let core1: string;
    let ixp1: string;
    const life = new AbortController();
    const open: { close(): Promise<void> }[] = [];

    test.before(
      async () => {
        fleet = await openFleet();
        alice = await operatorOf(fleet, life.signal);
        await fleet.reset();
        // Two generations, so that there is an older one to replay.
        for (const content of ["one", "two"]) {
          fleet.edit("resources/core1.yml", () => PIECE(content));
          await fleet.ctl(["apply", "-y", "-m", content], { expect: 0 });
        }
        const rows = (await fleet.ctl(["hosts", "--json"])).json() as {
          name: string;
          record: { id: string };
        }[];
        const idOf = (name: string) => rows.find((row) => row.name === name)?.record.id ?? "";
        [core1, ixp1] = [idOf("core1"), idOf("ixp1")];
        hostile = await controllerBus(fleet);
        open.push(hostile);
      },
      { limit_ms: 200_000 },
    );
    test.after(
      async () => {
        for (const each of open) await each.close();
        life.abort();
        await fleet.reset();
      },
      { limit_ms: 200_000 },
    );

    /** The newest manifest of a host as it is stored, and what it says. */
    const newest = async (bus: Bus, id: string): Promise<{ envelope: Envelope; manifest: Manifest }> => {
      const envelope = await bus.directGet("DESIRED", subjects.desired(id));
      if (envelope === null) throw new Error("there is no manifest");
      return { envelope, manifest: parseJson(Manifest, envelope.body, "manifest") };
    };

    test("a host's credentials: others' subjects, streams and telemetry are refused by the broker", async () => {
      const thief = await thiefBus(fleet, "core1", alice);
      open.push(thief.bus);
      const before = (await fleet.status()).get("ixp1");
      const refused = async (subject: string, operation: "publish" | "subscription", act: () => unknown) => {
        const seen = thief.denied.length;
        await act();
        await thief.bus.roundTrip();
        const denied = thief.denied.slice(seen);
        assert.ok(
          denied.some((each) => each.operation === operation && each.subject === subject),
          `${operation} ${subject} was not refused: ${JSON.stringify(denied)}`,
        );
      };
      const forged = Buffer.from(JSON.stringify({ state: "converged" }));
      const publishes = [
        subjects.telemetry(ixp1, "ixp1", "convergence"),
        subjects.telemetry(core1, "ixp1", "convergence"),
        subjects.telemetry(ixp1, "core1", "convergence"),
        subjects.event(core1, "ixp1", "convergence"),
        subjects.event(core1, "_", "rollout"),
        intakeOf(subjects.audit(ixp1, "command")),
        subjects.desired(core1),
        subjects.desired(ixp1),
        subjects.liveDesired(ixp1),
        intakeOf(subjects.trust()),
        subjects.release(randomBytes(16).toString("hex")),
        subjects.rpc(ixp1, "reconcile"),
        subjects.rpcAll("reconcile"),
        subjects.ctl("hosts"),
        subjects.host(ixp1, "renew"),
        subjects.enrol("join"),
        `_INBOX_${ixp1}.x`,
        intakeOf("$KV.hosts.core1"),
        "$JS.API.STREAM.DELETE.DESIRED",
        "$JS.API.STREAM.PURGE.EVENT",
        "$JS.API.STREAM.INFO.DESIRED",
        "$JS.API.STREAM.MSG.GET.DESIRED",
        "$JS.API.CONSUMER.CREATE.DESIRED.x",
        "$JS.API.DIRECT.GET.DESIRED",
        `$JS.API.DIRECT.GET.DESIRED.${subjects.desired(ixp1)}`,
        "$JS.API.DIRECT.GET.KV_hosts.$KV.hosts.ixp1",
        `$JS.API.DIRECT.GET.RELEASE.${subjects.release("x")}`,
        "$SYS.REQ.CLAIMS.UPDATE",
      ];
      for (const subject of publishes)
        await refused(subject, "publish", () => thief.bus.publish(subject, forged));
      const subscriptions = [
        ">",
        "live.desired.*",
        subjects.liveDesired(ixp1),
        `rpc.${ixp1}.*`,
        "rpc.>",
        `_INBOX_${ixp1}.>`,
        "_INBOX_ENROL.>",
        "telemetry.>",
        "event.>",
        "ctl.*",
        "enrol.*",
        "$SYS.>",
      ];
      for (const subject of subscriptions)
        await refused(subject, "subscription", () => thief.bus.subscribe(subject, {}, () => undefined)());
      // What is the host's own works, so that the refusals say something.
      assert.is((await newest(thief.bus, core1)).manifest.host, "core1");
      assert.is((await fleet.status()).get("ixp1")?.since, before?.since);
      measured(
        "refused by the broker",
        `${publishes.length} subjects, ${subscriptions.length} subscriptions`,
      );
    });

    test(
      "the controller's secret works from its own machine only, and opens nothing but what it signs",
      async () => {
        const { role_id, secret_id } = await approleOf(fleet);
        const { vault: addresses, vault_ca } = alice.profile.bundle;
        const elsewhere = openVault({ addresses, ca_pem: vault_ca.join("") }, life.signal);
        await refusedWith(["VAULT_DENIED", "VAULT_REFUSED"], () =>
          elsewhere.loginAppRole(role_id, secret_id),
        );

        const { vault } = await intruder(fleet);
        const input = `input=${Buffer.from("x").toString("base64")}`;
        const forbidden = [
          ["kv", "get", "-mount=kv", "muster/fleet"],
          ["kv", "list", "-mount=kv", "/"],
          ["read", "kv/data/as64500/bgp"],
          ["list", "identity/entity/name"],
          ["read", "identity/entity/name/alice"],
          ["read", "auth/userpass/users/alice"],
          ["write", "auth/userpass/users/alice", "password=x"],
          ["write", "-f", "auth/approle/role/muster-controller/secret-id"],
          ["write", "-f", "auth/token/create"],
          ["write", "transit/sign/operator-signing", input],
          ["write", "transit/sign/sys-admin", input],
          ["write", "transit/sign/fleet-setup", input],
          ["read", "transit/export/signing-key/fleet-agent"],
          ["read", "transit/backup/fleet-agent"],
          ["write", "transit/keys/fleet-agent/config", "exportable=true"],
          ["write", "operators/sign/operator", "common_name=alice", "csr=x"],
          ["write", "operators/sign/kit", "common_name=kit", "csr=x"],
          ["write", "operators/issue/admin", "common_name=alice"],
          ["write", "identity-ca/issue/host", "common_name=core1"],
          ["write", "ssh-user/sign/admin", "public_key=x"],
          ["write", "ssh-host/roles/host", "key_type=ca"],
          ["policy", "read", "muster-admin"],
          ["secrets", "list"],
          ["operator", "seal"],
        ];
        for (const words of forbidden) {
          const { code, stderr } = await vault(words);
          assert.is.not(code, 0, `vault ${words.join(" ")} went through`);
          assert.match(stderr, /permission denied|Code: 403/, `vault ${words.join(" ")}: ${stderr}`);
        }
      },
      { limit_ms: 60_000 },
    );

    test(
      "a hostile controller's manifests: each refused with its code, red, told; the last good state stays",
      async () => {
        const good = await newest(hostile, core1);
        const other = await newest(hostile, ixp1);
        const { manifest } = good;
        const next = (change: Partial<Manifest>): Manifest => {
          const made = { ...manifest, generation: manifest.generation + 1, ...change };
          return { ...made, content_hash: change.content_hash ?? hashOfContent(made.content) };
        };
        const signed = (given: Manifest, signer: EnvelopeSigner, id = core1) =>
          seal(subjects.desired(id), Buffer.from(JSON.stringify(given)), signer, Date.now());
        const evil = { ...manifest.content, resources: manifest.content.resources.slice(0, -1) };
        const altered = { ...manifest, generation: manifest.generation + 1, content: evil };
        const replayed = await hostile.directGet(
          "RELEASE",
          subjects.staged(manifest.release.previous ?? "", core1),
        );
        if (replayed === null) throw new Error("the generation before is not stored");
        const { privateKey } = generateKeyPairSync("ed25519");
        const stranger = await (await PeopleCa.make("operators")).person("alice", "operator");
        const force = { ...manifest.intent, force: false };
        const empty = next({ content: { ...manifest.content, resources: [] }, intent: force });
        const controller = { certificate: alice.signer.certificate, key: privateKey };
        const wrong: [string, Envelope, string][] = [
          ["unsigned", { headers: {}, body: good.envelope.body }, "UNSIGNED"],
          ["signed by another key", signed(next({}), controller), "BAD_SIGNATURE"],
          [
            "another signature under it",
            {
              ...good.envelope,
              headers: {
                ...good.envelope.headers,
                "Muster-Signature": signEd25519(privateKey, Buffer.from("x")).toString("base64"),
              },
            },
            "BAD_SIGNATURE",
          ],
          [
            "altered after it was signed",
            { headers: good.envelope.headers, body: Buffer.from(JSON.stringify(altered)) },
            "BAD_SIGNATURE",
          ],
          [
            "content and hash disagree",
            signed({ ...altered, content_hash: manifest.content_hash }, alice.signer),
            "ALTERED",
          ],
          ["another host's, as it is", other.envelope, "BAD_SIGNATURE"],
          [
            "another host's, signed for this subject",
            signed({ ...other.manifest, generation: manifest.generation + 1 }, alice.signer),
            "WRONG_TARGET",
          ],
          ["an older one, really signed", replayed, "STALE_GENERATION"],
          [
            "other content under the same number",
            signed(next({ generation: manifest.generation, content: evil }), alice.signer),
            "CONFLICT",
          ],
          ["empty, signed, without force", signed(empty, alice.signer), "MASS_REMOVAL"],
          ["signed by a viewer", signed(next({}), await viewerSigner(alice)), "NOT_ALLOWED"],
          ["signed under a foreign CA", signed(next({}), stranger), "BAD_CERTIFICATE"],
          [
            "not a manifest",
            seal(subjects.desired(core1), Buffer.from("{}"), alice.signer, Date.now()),
            "INVALID",
          ],
        ];
        for (const [what, envelope, code] of wrong) {
          const since_ms = Date.now();
          await hostile.publishStored(subjects.desired(core1), envelope.body, {
            headers: headersOf(envelope),
          });
          const { value: row } = await fleet.until(
            `core1 refuses: ${what}`,
            async () => {
              const row = (await fleet.status()).get("core1") as
                | (HostRow & { error: string | null })
                | undefined;
              if (row?.state === "refused" && row.error === code) return row;
              throw new Error(JSON.stringify(row));
            },
            REFUSED_MS,
          );
          assert.is(row.colour, "red", what);
          assert.is(row.generation, manifest.generation, what);
          assert.match(row.troubles[0]?.what ?? "", /^REFUSED /, what);
          const { value: event } = await fleet.event(
            ({ host, kind, severity }) => host === "core1" && kind === "refusal" && severity === "error",
            since_ms,
          );
          assert.match(event.what, /^refused: /, what);
          assert.is(await fleet.on("core1").read(FILE), "two\n", what);
        }
        // Still a host that keeps its last good state by itself.
        await fleet.on("core1").write(FILE, "by hand\n");
        await fleet.until(
          "the hand edit is put back",
          async () => (await fleet.on("core1").read(FILE)) === "two\n",
          5_000,
        );
        const { code } = await fleet.ctl(["status"]);
        assert.is(code, 1);
        measured("manifests refused", `${wrong.length}`);
      },
      { limit_ms: 120_000 },
    );

    test(
      "a good apply heals it: with nothing changed in the folder, and after a restart of the agent",
      async () => {
        await fleet.on("core1").sh("systemctl restart muster-agent");
        await fleet.until(
          "core1 is still refusing",
          async () => (await fleet.status()).get("core1")?.state === "refused",
          15_000,
        );
        const applied = await fleet.ctl(["apply", "-y", "-m", "heal"], { expect: 0 });
        assert.match(applied.stdout, /^core1 {2}converged/m);
        await fleet.converged();
        assert.is(await fleet.on("core1").read(FILE), "two\n");
        await fleet.ctl(["plan"], { expect: 0 });

        // An old one once more, really signed: what is stored then verifies, and is still not what the host holds.
        const { manifest } = await newest(hostile, core1);
        const older = await hostile.directGet(
          "RELEASE",
          subjects.staged(manifest.release.previous ?? "", core1),
        );
        if (older === null) throw new Error("the generation before is not stored");
        await hostile.publishStored(subjects.desired(core1), older.body, { headers: headersOf(older) });
        await fleet.until(
          "core1 refuses it",
          async () => (await fleet.status()).get("core1")?.state === "refused",
          REFUSED_MS,
        );
        await fleet.ctl(["apply", "-y", "-m", "heal again"], { expect: 0 });
        await fleet.converged();
        assert.is((await newest(hostile, core1)).manifest.generation, manifest.generation + 1);
      },
      { limit_ms: 60_000 },
    );

    test("commands: unsigned, too low in rank, replayed, for another host", async () => {
      const me = await operatorBus(alice);
      open.push(me.bus);
      const body = Buffer.from(JSON.stringify({ v: 1, args: {} }));
      const ask = async (by: Persona | { bus: Bus }, id: string, method: string, envelope: Envelope) => {
        const answer = await by.bus.request(subjects.rpc(id, method), envelope.body, {
          timeout_ms: 5_000,
          headers: headersOf(envelope),
        });
        const reply = parseJson(Reply, answer.body, method);
        return "error" in reply ? reply.error.code : "ok";
      };
      const signed = (signer: EnvelopeSigner, method: string, args: object = {}, id = core1) =>
        seal(subjects.rpc(id, method), Buffer.from(JSON.stringify({ v: 1, args })), signer, Date.now());
      assert.is(await ask(me, core1, "ping", { headers: {}, body }), "ok");
      for (const method of ["reconcile", "facts", "status", "plan", "switch", "return"])
        assert.is(await ask(me, core1, method, { headers: {}, body }), "UNSIGNED", method);
      const viewer = await viewerSigner(alice);
      assert.is(await ask(me, core1, "birdc", signed(viewer, "birdc", { command: "show status" })), "ok");
      for (const method of ["reconcile", "plan", "switch", "return"])
        assert.is(await ask(me, core1, method, signed(viewer, method)), "NOT_ALLOWED", method);
      const once = signed(alice.signer, "reconcile");
      assert.is(await ask(me, core1, "reconcile", once), "ok");
      assert.is(await ask(me, core1, "reconcile", once), "REPLAYED");
      assert.is(await ask({ bus: hostile }, core1, "reconcile", once), "REPLAYED");
      assert.is(
        await ask(me, core1, "reconcile", signed(alice.signer, "reconcile", {}, ixp1)),
        "BAD_SIGNATURE",
      );
      const stranger = await (await PeopleCa.make("operators")).person("alice", "admin");
      assert.is(await ask(me, core1, "reconcile", signed(stranger, "reconcile")), "BAD_CERTIFICATE");
    });
  },
  { limit_ms: 60_000 },
);

async function refusedWith(codes: readonly string[], act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    assert.ok(codes.includes(error.code), error.message);
    return;
  }
  assert.unreachable("it went through");
}

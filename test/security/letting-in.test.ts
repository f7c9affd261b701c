/**
 * Machines that are let in by a hostile controller, over a real broker, by the agent's own code: a first bundle that is not the fleet's, an answer to
 * another question, papers of another machine, another name than the person's join string gives. Each is refused, and nothing of it is kept.
 */
import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AgentConfig, placesOf } from "@muster/agent/config";
import { CredentialStore } from "@muster/agent/credentials";
import { enrol } from "@muster/agent/enrolment";
import { openIdentity } from "@muster/agent/identity";
import { Marks } from "@muster/agent/mark";
import { makeSshKey } from "@muster/agent/sshkey";
import { Trust } from "@muster/agent/trust";
import { makeCsr, makeKey } from "@muster/ports/csr";
import { openLog } from "@muster/ports/log";
import {
  type Claim,
  createCurvePair,
  createNkey,
  type EnvelopeSigner,
  JoinRequest,
  parseJson,
  rawPublic,
  seal,
  sealTo,
  splitJoinString,
  storeEnvelope,
  subjects,
  succeeding,
  type TrustBundle,
} from "@muster/protocol";
import { type Credentials, HelloRequest } from "@muster/protocol/enrolment";
import * as assert from "uvu/assert";
import { joinString, realSshCertificates } from "../kit/agent.ts";
import { temporaryDirectory } from "../kit/child.ts";
import { startFleet, type TestFleet } from "../kit/fleet.ts";
import { memoryIssuer, type TestIssuer } from "../kit/issuer.ts";
import { PeopleCa, type Person } from "../kit/people.ts";
import { randomHex } from "../kit/rollout.ts";
import { suite } from "../kit/suite.ts";

const HOUR_MS = 3_600_000;
const HOST = "core1";

/** What a controller answers to one machine; what is left out is honest. */
type Lies = {
  /** Envelope of the bundle in the first answer. */
  readonly bundle?: () => unknown;
  /** The whole second answer, made of an honest one. */
  readonly joined?: (honest: Admitted, claim: Claim) => unknown;
};
type Admitted = {
  readonly status: "admitted";
  readonly nonce: string;
  readonly name: string;
  readonly credentials: Credentials;
  readonly bundle: unknown;
};

suite(
  "a hostile controller lets machines in",
  (test) => {
    const life = new AbortController();
    let fleet: TestFleet;
    let issuer: TestIssuer;
    let alice: Person;
    let stranger: PeopleCa;
    let place: Awaited<ReturnType<typeof temporaryDirectory>>;
    /** By the curve key of the machine that asks. */
    const lies = new Map<string, Lies>();
    const own_key = generateKeyPairSync("ed25519").privateKey;
    const own_admin = rawPublic(own_key).toString("base64");

    const papersOf = async (
      name: string,
      { id, csr, ssh_public_key }: Pick<Claim, "id" | "csr" | "ssh_public_key">,
    ): Promise<Credentials> => {
      const user = { name, key: id, expires_ms: Date.now() + HOUR_MS };
      const [user_jwt, service, ssh] = await Promise.all([
        issuer.userJwt("agent", user),
        issuer.serviceCertificate(name, csr),
        issuer.sshCertificate(name, ssh_public_key),
      ]);
      return { user_jwt: user_jwt.text, service_certificate: service.text, ssh_certificate: ssh.text };
    };
    const sealedBundle = (bundle: TrustBundle, signer: EnvelopeSigner) =>
      storeEnvelope(seal(subjects.trust(), Buffer.from(JSON.stringify(bundle)), signer, Date.now()));

    /** The controller: it has all that one has, and answers as it was told. */
    const serve = async () => {
      const { bus } = await fleet.connect("controller", "hostile", life.signal);
      const pair = createCurvePair();
      bus.subscribe("enrol.*", { concurrency: 32 }, async (message) => {
        const reply = (to: string, body: unknown) => {
          const box = Buffer.from(sealTo(to, Buffer.from(JSON.stringify(body)), pair)).toString("base64");
          bus.respond(message, Buffer.from(JSON.stringify({ from: pair.public, box })));
        };
        const honest = storeEnvelope(fleet.bundle_envelope);
        if (message.subject === "enrol.hello") {
          const { curve } = parseJson(HelloRequest, message.body, "hello");
          const bundle = lies.get(curve)?.bundle?.() ?? honest;
          reply(curve, { nonce: randomHex(), time: Date.now(), bundle });
          return;
        }
        const { claim } = parseJson(JoinRequest, message.body, "join");
        const answer: Admitted = {
          status: "admitted",
          nonce: claim.nonce,
          name: claim.name,
          credentials: await papersOf(claim.name, claim),
          bundle: honest,
        };
        reply(claim.curve, (await lies.get(claim.curve)?.joined?.(answer, claim)) ?? answer);
      });
    };

    /** A machine with alice's word for core1 asks once. What became of it: its name, or the code of the refusal; and what it keeps. */
    const asks = async (about: Lies) => {
      const prefix = join(place.path, randomHex());
      for (const path of ["etc/muster", "etc/ssh", "state", "run"])
        await mkdir(join(prefix, path), { recursive: true });
      const config = AgentConfig.parse({ prefix, state_directory: "/state", runtime_directory: "/run" });
      const places = placesOf(config, join(prefix, "agent.json"));
      const token = `hvs.${randomHex()}`;
      const joining = joinString(fleet, alice, { name: HOST }, { vault_token: token });
      const word = splitJoinString(joining).seed ?? "";
      await writeFile(places.join_file, joining);
      const once = new AbortController();
      let outcome = "";
      let said = "";
      const to = {
        write(line: string) {
          said += line;
          const { code } = JSON.parse(line) as { code?: string };
          if (code === undefined) return;
          outcome = code;
          once.abort();
        },
      };
      // All that it can be made to say.
      const log = openLog({ name: "agent", level: "trace", to });
      const [identity, trust, credentials, marks] = await Promise.all([
        openIdentity(places.keys, places.ssh_host_key),
        Trust.open(places.trust, log),
        CredentialStore.open(places.credentials),
        Marks.open(places.mark),
      ]);
      lies.set(identity.curve.public, about);
      const door = { config, places, identity, trust, credentials, marks, log };
      const say = (text: string) => log.info({}, text);
      const name = await enrol(
        { ...door, os: "Debian 12", agent_version: "0.1.0", now: Date.now, say },
        AbortSignal.any([once.signal, life.signal]),
      );
      const { nkey, curve, tls_pem, ssh } = identity;
      const pem = (text: string) => text.split("\n")[1] ?? "";
      const ssh_pem = pem(ssh.key.export({ type: "pkcs8", format: "pem" }).toString());
      const secrets = {
        nkey: nkey.seed,
        curve: curve.seed,
        tls: pem(tls_pem),
        ssh: ssh_pem,
        token,
        word,
        joining,
      };
      assert.equal(
        Object.entries(secrets).flatMap(([what, text]) => (said.includes(text) ? [what] : [])),
        [],
      );
      return {
        outcome: name ?? outcome,
        kept: existsSync(places.credentials),
        marked: (await marks.tell()).held !== null,
        bundle: trust.bundle?.version ?? null,
        string_left: existsSync(places.join_file),
      };
    };

    test.before(
      async () => {
        fleet = await startFleet();
        issuer = memoryIssuer(fleet);
        place = await temporaryDirectory("letting-in");
        await realSshCertificates(issuer, place.path);
        alice = await fleet.person("alice");
        stranger = await PeopleCa.make("operators");
        await serve();
      },
      { limit_ms: 30_000 },
    );
    test.after(async () => {
      life.abort();
      await fleet.stop();
      await place.release();
    });

    /** All at once: each machine has keys of its own, by which the controller knows how to lie to it. */
    const refused = async (rows: readonly (readonly [string, string, Lies])[], bundle: number | null) => {
      const seen = await Promise.all(rows.map(([, , about]) => asks(about)));
      const nothing = { kept: false, marked: false, string_left: true };
      assert.equal(
        rows.map(([what], at) => ({ what, ...seen[at] })),
        rows.map(([what, outcome]) => ({ what, outcome, ...nothing, bundle })),
      );
    };

    test("a first bundle with other operators, other admins or another signature is refused", async () => {
      const mine = { admin_key: own_admin, key: own_key };
      // So that its second keys are others than a stranger's first.
      const more = [rawPublic(generateKeyPairSync("ed25519").privateKey).toString("base64")];
      const { bundle } = fleet;
      const both = [...bundle.operators_ca, stranger.pem];
      const by_controller = await fleet.controllers.person("controller", "controller");
      const admin = await stranger.person("mallory", "admin");
      const first = (bundle: TrustBundle, signer: EnvelopeSigner): Lies => ({
        bundle: () => sealedBundle(bundle, signer),
      });
      const own = { operators_ca: [stranger.pem], admin_keys: [own_admin] };
      const theirs = { ...bundle, ...own };
      /** Its own keys from version 2 on, with a step to them that `by` signed, and version 3 under them. */
      const follows = (by: EnvelopeSigner, from: TrustBundle = bundle): Lies => {
        const second = succeeding(
          from,
          { ...from, ...own, admin_keys: [own_admin, ...more], version: 2 },
          by,
          Date.now(),
        );
        return first({ ...second, version: 3 }, mine);
      };
      await refused(
        [
          ["operators of its own", "WRONG_ANCHOR", first({ ...bundle, operators_ca: [stranger.pem] }, mine)],
          ["its own beside ours", "WRONG_ANCHOR", first({ ...bundle, operators_ca: both }, mine)],
          ["an admin of its own", "WRONG_ANCHOR", first({ ...bundle, admin_keys: [own_admin] }, mine)],
          [
            "an admin of its own beside ours",
            "WRONG_ANCHOR",
            first({ ...bundle, admin_keys: [...bundle.admin_keys, own_admin] }, mine),
          ],
          ["its own, said to follow from ours by its own word", "NOT_ALLOWED", follows(mine)],
          ["its own, said to follow from ours by a controller's", "BAD_CERTIFICATE", follows(by_controller)],
          ["its own, said to follow from ours by an operator's", "NOT_ALLOWED", follows(alice)],
          ["its own, said to follow from a stranger's", "WRONG_ANCHOR", follows(mine, theirs)],
          ["ours, signed by a key of its own", "NOT_ALLOWED", first(bundle, mine)],
          ["ours, signed by a controller", "NOT_ALLOWED", first(bundle, by_controller)],
          ["ours, signed by a stranger", "BAD_CERTIFICATE", first(bundle, admin)],
          [
            "ours, altered after it was signed",
            "BAD_SIGNATURE",
            {
              bundle: () => {
                const altered = { ...bundle, controllers_ca: bundle.operators_ca };
                const body = Buffer.from(JSON.stringify(altered));
                return storeEnvelope({ headers: fleet.bundle_envelope.headers, body });
              },
            },
          ],
        ],
        null,
      );
    });

    test("an answer to another question, with a bundle or a name of its own, or with another machine's papers is refused", async () => {
      const with_papers = (change: (claim: Claim) => Promise<Partial<Credentials>>): Lies => ({
        joined: async (honest, claim) => ({
          ...honest,
          credentials: { ...honest.credentials, ...(await change(claim)) },
        }),
      });
      const other = { id: createNkey("user").public, csr: "", ssh_public_key: makeSshKey("x").public_key };
      const tls = makeKey("p256").private_pem;
      other.csr = await makeCsr(tls, { common_name: HOST });
      const as = (name: string, what: keyof Credentials, from: Partial<typeof other> = {}) =>
        with_papers(async (claim) => ({ [what]: (await papersOf(name, { ...claim, ...from }))[what] }));
      const permissive = { ...fleet.bundle, version: 2, operators_ca: fleet.bundle.controllers_ca };
      const by_controller = await fleet.controllers.person("controller", "controller");
      await refused(
        [
          ["another nonce", "REPLAYED", { joined: (honest) => ({ ...honest, nonce: randomHex() }) }],
          [
            "a next bundle of its own",
            "NOT_ALLOWED",
            { joined: (honest) => ({ ...honest, bundle: sealedBundle(permissive, by_controller) }) },
          ],
          [
            "another name than the join string's",
            "WRONG_TARGET",
            {
              joined: async (honest, claim) => ({
                ...honest,
                name: "ixp1",
                credentials: await papersOf("ixp1", claim),
              }),
            },
          ],
          ["bus access in another name", "BAD_CERTIFICATE", as("ixp1", "user_jwt")],
          ["bus access for another key", "BAD_CERTIFICATE", as(HOST, "user_jwt", other)],
          [
            "a service certificate for another key",
            "BAD_CERTIFICATE",
            as(HOST, "service_certificate", other),
          ],
          ["an ssh certificate in another name", "BAD_CERTIFICATE", as("ixp1", "ssh_certificate")],
          ["an ssh certificate for another key", "BAD_CERTIFICATE", as(HOST, "ssh_certificate", other)],
        ],
        1,
      );
    });

    test("an honest answer lets it in: the refusals are no dead controller's", async () => {
      const seen = await asks({});
      assert.equal(seen, { outcome: HOST, kept: true, marked: true, bundle: 1, string_left: false });
    });
  },
  { limit_ms: 30_000 },
);

/** What a hostile controller orders of a real agent: every method of the table, states and bundles that no person signed, ways back that no release names. */
import { generateKeyPairSync } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import {
  type Envelope,
  type EnvelopeSigner,
  hashOfContent,
  type Manifest,
  NodePolicy,
  type Resource,
  Resource as ResourceForm,
  RPC,
  rawPublic,
  seal,
  signEd25519,
  subjects,
  type TrustBundle,
} from "@muster/protocol";
import { type ErrorCode, FleetError } from "@muster/protocol/errors";
import { type Host, type Signed, told } from "../host.ts";
import type { Attempt } from "./attempts.ts";
import type { HostileController } from "./hostile.ts";

export type Victim = Host & {
  /** Manifests that its operator signed, oldest first; the last is in force, and its release has lapsed. */
  readonly signed: readonly Signed[];
  readonly bundle: TrustBundle;
};

const EVIL_DIGEST = `sha256:${"e".repeat(64)}`;
const EVIL_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDNzXbEk1Pqt5AyEd4kx8pKmVx0xnkHpgLOyGqHbRcA evil";

const CONTROLLER_MAY: readonly string[] = NodePolicy.parse({}).controller_may;

export function orderAttempts(hostile: HostileController, victim: Victim, operator_bus: Bus): Attempt[] {
  const { id } = victim;
  const ask = async (bus: Bus, subject: string, envelope: Envelope) => {
    const code = await told(bus, id, subject, envelope);
    if (code !== "ok") throw new FleetError(code as ErrorCode, subject);
  };
  const body = (args: unknown) => Buffer.from(JSON.stringify({ v: 1, args }));
  const sealed = (subject: string, args: unknown, signer: EnvelopeSigner = hostile.signer) =>
    seal(subject, body(args), signer, Date.now());
  const order = (
    what: string,
    refused: readonly ErrorCode[],
    subject: string,
    make: () => Envelope,
    bus = hostile.bus,
  ): Attempt => ({ promise: "P4", by: "host", what, refused, act: () => ask(bus, subject, make()) });

  const methods = Object.keys(RPC);
  // Where a viewer may ask too, the arguments are looked at before the host's policy is.
  const args: Readonly<Record<string, unknown>> = { birdc: { command: "show status" } };
  const forbidden = methods.filter((method) => !CONTROLLER_MAY.includes(method));
  const inForce = victim.signed.at(-1);
  const older = victim.signed.at(-2);
  const oldest = victim.signed.at(-3);
  if (inForce === undefined || older === undefined || oldest === undefined)
    throw new Error("three are needed");
  const back = (release: string, content_hash: string) => () =>
    sealed(subjects.rpc(id, "return"), { release, content_hash });
  const { release } = inForce.manifest;
  const exec = { command: ["cat", "/etc/shadow"], from: "here", longest_ms: 1_000 };
  const rpc = (method: string) => subjects.rpc(id, method);
  return [
    ...forbidden.map((method) =>
      order(`order ${method}`, ["NOT_ALLOWED"], rpc(method), () => sealed(rpc(method), args[method] ?? {})),
    ),
    ...methods
      .filter((method) => method !== "ping")
      .map((method) =>
        order(`order ${method}, unsigned`, ["UNSIGNED"], rpc(method), () => ({
          headers: {},
          body: body({}),
        })),
      ),
    order("run a program that reads a secret", ["NOT_ALLOWED"], rpc("exec"), () => sealed(rpc("exec"), exec)),
    order("run it on all hosts", ["NOT_ALLOWED"], subjects.rpcAll("exec"), () =>
      sealed(subjects.rpcAll("exec"), exec),
    ),
    order(
      "run it over bus access of an operator, which it may mint",
      ["NOT_ALLOWED"],
      rpc("exec"),
      () => sealed(rpc("exec"), exec),
      operator_bus,
    ),
    order("run it with a signature for another method", ["BAD_SIGNATURE"], rpc("exec"), () =>
      sealed(rpc("reconcile"), exec),
    ),
    ...["log_level", "debug", "core_dump", "dump", "config", "update", "__proto__", "constructor"].map(
      (method) =>
        order(`order ${method}`, ["NOT_FOUND"], `rpc.${id}.${method}`, () =>
          sealed(`rpc.${id}.${method}`, {}),
        ),
    ),
    order(
      "return to content that nobody signed",
      ["NOT_ALLOWED"],
      rpc("return"),
      back(release.id, "0".repeat(64)),
    ),
    order(
      "return to content that only an older release named",
      ["NOT_ALLOWED"],
      rpc("return"),
      back(release.id, oldest.manifest.content_hash),
    ),
    order(
      "return by a release that has lapsed",
      ["NOT_ALLOWED"],
      rpc("return"),
      back(release.id, older.manifest.content_hash),
    ),
    order(
      "return by a release that is not in force",
      ["CONFLICT"],
      rpc("return"),
      back(older.manifest.release.id, oldest.manifest.content_hash),
    ),
  ];
}

/**
 * What it would put on the host: each would hand it a secret. Each is what a manifest may hold, so that nothing but the missing signature is in its way; what
 * is the agent's own (its directories, its unit) is in the way of an operator too.
 */
const EVIL: Readonly<Record<string, Resource>> = {
  "a container that mounts the host's disk": container({ volumes: ["/:/host"] }),
  "a container with the agent's keys": container({ volumes: ["/var/lib/muster-agent:/keys:ro"] }),
  "a container with Docker's socket": container({ volumes: ["/run/docker.sock:/run/docker.sock"] }),
  "a container that sees the host's processes": container({ pid: "host", cap_add: ["SYS_PTRACE"] }),
  "a container with all rights": container({ privileged: true }),
  "a container with the host's memory": container({ devices: ["/dev/mem"] }),
  "another image under the same tag": container({}),
  "an image that lies on the host": container({ pin: { id: EVIL_DIGEST } }),
  "a volume that is the host's disk": resource("volume", "evil", {
    driver_opts: { type: "none", o: "bind", device: "/etc" },
  }),
  "a program by timer": resource("timer", "evil", { command: "cat /etc/shadow", every: "1min" }),
  "a program at a file's change": resource("file", "/etc/evil", {
    content: "x",
    validate: ["sh", "-c", "id %s"],
  }),
  "a package": resource("package", "netcat-openbsd", {}),
  "a log level for the agent": file("/etc/muster/agent.json", '{"log_level":"trace"}'),
  "a log level for the agent by its unit": file(
    "/etc/systemd/system/muster-agent.service.d/x.conf",
    "[Service]\nEnvironment=NODE_DEBUG=net,http\n",
  ),
  "core dumps of the agent": file(
    "/etc/systemd/system/muster-agent.service.d/core.conf",
    "[Service]\nLimitCORE=infinity\n",
  ),
  "core dumps of everything": resource("sysctl", "kernel.core_pattern", { value: "/tmp/core.%p" }),
  "memory that every process may read": resource("sysctl", "kernel.yama.ptrace_scope", { value: "0" }),
  "a key of its own for root": file("/root/.ssh/authorized_keys", `${EVIL_KEY}\n`),
  "an account of its own": resource("user", "evil", { groups: ["sudo"], authorized_keys: [EVIL_KEY] }),
  "an agent that is off": resource("service", "muster-agent", { state: "stopped", enabled: false }),
};

function file(name: string, content: string): Resource {
  return resource("file", name, { content });
}

function container(spec: Record<string, unknown>): Resource {
  return resource("container", "evil", { image: "nginx:1", pin: { digest: EVIL_DIGEST }, ...spec });
}

/** Errors: whatever a manifest with it would be refused for anyway. */
function resource(kind: string, name: string, spec: Record<string, unknown>): Resource {
  return ResourceForm.parse({ kind, name, spec, needs: [] });
}

/** One after the other: what the host says next is about the one that came last. */
export function stateAttempts(hostile: HostileController, victim: Victim): Attempt[] {
  const { id, signed } = victim;
  const inForce = signed.at(-1);
  const older = signed.at(-2);
  if (inForce === undefined || older === undefined) throw new Error("two are needed");
  const { manifest } = inForce;
  const next = (resources: readonly Resource[]): Manifest => {
    const content = { ...manifest.content, resources: [...manifest.content.resources, ...resources] };
    return {
      ...manifest,
      generation: manifest.generation + 1,
      content,
      content_hash: hashOfContent(content),
    };
  };
  const bytes = (given: unknown) => Buffer.from(JSON.stringify(given));
  const seals = (given: Manifest, signer: EnvelopeSigner) =>
    seal(subjects.desired(id), bytes(given), signer, Date.now());
  const refusal = async (refused: string) => {
    if (refused !== "taken") throw new FleetError(refused as ErrorCode, "by the host");
  };
  const state = (what: string, refused: ErrorCode, make: () => Envelope): Attempt => ({
    promise: "P4",
    by: "host",
    what,
    refused: [refused],
    async act() {
      const { headers, body } = make();
      await refusal(
        await victim.manifestRefused(() =>
          hostile.bus.publishStored(subjects.desired(id), body, { headers }),
        ),
      );
    },
  });
  const bundle = (what: string, refused: ErrorCode, make: () => Envelope): Attempt => ({
    promise: "P4",
    by: "host",
    what,
    refused: [refused],
    async act() {
      const { headers, body } = make();
      await refusal(
        await victim.bundleRefused(() => hostile.bus.publishStored(subjects.trust(), body, { headers })),
      );
    },
  });
  const stranger = generateKeyPairSync("ed25519").privateKey;
  const evil = next([EVIL["another image under the same tag"]].filter((each) => each !== undefined));
  const permissive: TrustBundle = {
    ...victim.bundle,
    version: victim.bundle.version + 1,
    operators_ca: victim.bundle.controllers_ca,
  };
  const own_key = rawPublic(stranger).toString("base64");
  return [
    ...Object.entries(EVIL).map(([what, resource]) =>
      state(`state with ${what}`, "NOT_ALLOWED", () => seals(next([resource]), hostile.signer)),
    ),
    state("state that nobody signed", "UNSIGNED", () => ({ headers: {}, body: bytes(evil) })),
    state("state signed by a key of its own", "BAD_SIGNATURE", () =>
      seals(evil, { certificate: inForce.envelope.headers["Muster-Certificate"] ?? "", key: stranger }),
    ),
    state("an operator's state, altered", "BAD_SIGNATURE", () => ({
      headers: inForce.envelope.headers,
      body: bytes(evil),
    })),
    state("an operator's state, cut off", "BAD_SIGNATURE", () => ({
      headers: inForce.envelope.headers,
      body: inForce.envelope.body.subarray(0, -1),
    })),
    state("an operator's state under its own signature", "BAD_SIGNATURE", () => ({
      headers: {
        ...inForce.envelope.headers,
        "Muster-Signature": signEd25519(stranger, inForce.envelope.body).toString("base64"),
      },
      body: inForce.envelope.body,
    })),
    state("an operator's older state", "STALE_GENERATION", () => older.envelope),
    bundle("a trust bundle under its own certificate", "NOT_ALLOWED", () =>
      seal(subjects.trust(), bytes(permissive), hostile.signer, Date.now()),
    ),
    bundle("a trust bundle under a key of its own", "NOT_ALLOWED", () =>
      seal(subjects.trust(), bytes(permissive), { admin_key: own_key, key: stranger }, Date.now()),
    ),
    bundle("a trust bundle that names its own admin key", "NOT_ALLOWED", () =>
      seal(
        subjects.trust(),
        bytes({ ...permissive, admin_keys: [own_key] }),
        { admin_key: own_key, key: stranger },
        Date.now(),
      ),
    ),
  ];
}

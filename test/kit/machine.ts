/** A new machine as a test sees it: the four keys, the proofs, hello and join over a real connection of account ENROL. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Bus } from "@muster/ports/bus";
import { type KeyPems, makeCsr, makeKey } from "@muster/ports/csr";
import {
  type Claim,
  type CurvePair,
  createCurvePair,
  createNkey,
  HelloReply,
  JoinReply,
  type JoinRequest,
  type Nkey,
  openSealed,
  parseJson,
  proofText,
  rawPublic,
  SealedReply,
  signEd25519,
  splitJoinString,
} from "@muster/protocol";

/** Fifty machines at once on a machine that is three times as slow. */
const ANSWER_MS = 20_000;

export type Machine = {
  readonly name: string;
  readonly nkey: Nkey;
  readonly curve: CurvePair;
  readonly ssh: KeyObject;
  readonly ssh_public_key: string;
  readonly tls: KeyPems;
  readonly tls_key: KeyObject;
  readonly csr: string;
};

export async function makeMachine(
  name: string,
  given: { nkey?: Nkey; ssh?: KeyObject; csr?: { common_name?: string; dns_names?: string[] } } = {},
): Promise<Machine> {
  const tls = makeKey("p256");
  const ssh = given.ssh ?? generateKeyPairSync("ed25519").privateKey;
  return {
    name,
    nkey: given.nkey ?? createNkey("user"),
    curve: createCurvePair(),
    ssh,
    ssh_public_key: sshLine(ssh),
    tls,
    tls_key: createPrivateKey(tls.private_pem),
    csr: await makeCsr(tls.private_pem, { common_name: name, ...given.csr }),
  };
}

/** The OpenSSH line of an Ed25519 key. */
export function sshLine(key: KeyObject): string {
  const raw = rawPublic(key);
  const blob = Buffer.alloc(4 + 11 + 4 + 32);
  blob.writeUInt32BE(11, 0);
  blob.write("ssh-ed25519", 4);
  blob.writeUInt32BE(32, 15);
  raw.copy(blob, 19);
  return `ssh-ed25519 ${blob.toString("base64")}`;
}

export function claimOf(machine: Machine, nonce: string, joining?: string): Claim {
  return {
    v: 1,
    nonce,
    ...(joining === undefined ? {} : { join: splitJoinString(joining).join }),
    name: machine.name,
    id: machine.nkey.public,
    curve: machine.curve.public,
    ssh_public_key: machine.ssh_public_key,
    csr: machine.csr,
    facts: {
      hostname: machine.name,
      os: "Debian 12",
      kernel: "6.1",
      agent_version: "0.1.0",
      addresses: ["::1"],
    },
  };
}

export function proved(machine: Machine, claim: Claim): JoinRequest {
  const text = proofText(claim);
  return {
    claim,
    proofs: {
      id: signEd25519(machine.nkey.key, text).toString("base64"),
      ssh: signEd25519(machine.ssh, text).toString("base64"),
      tls: sign("sha256", text, machine.tls_key).toString("base64"),
    },
  };
}

async function ask(
  bus: Bus,
  machine: Machine,
  subject: string,
  body: unknown,
  timeout_ms = ANSWER_MS,
): Promise<Uint8Array> {
  const answer = await bus.request(subject, Buffer.from(JSON.stringify(body)), { timeout_ms });
  const { from, box } = parseJson(SealedReply, answer.body, "sealed reply");
  return openSealed(from, Buffer.from(box, "base64"), machine.curve);
}

export async function hello(bus: Bus, machine: Machine): Promise<HelloReply> {
  const body = await ask(bus, machine, "enrol.hello", { v: 1, curve: machine.curve.public });
  return parseJson(HelloReply, body, "hello reply");
}

/** Sends a join request as it is. `timeout_ms`: for one that may get no answer. */
export async function joinWith(
  bus: Bus,
  machine: Machine,
  request: JoinRequest,
  timeout_ms?: number,
): Promise<JoinReply> {
  return parseJson(JoinReply, await ask(bus, machine, "enrol.join", request, timeout_ms), "join reply");
}

/** Hello and join. */
export async function enrol(bus: Bus, machine: Machine, joining?: string): Promise<JoinReply> {
  const { nonce } = await hello(bus, machine);
  return joinWith(bus, machine, proved(machine, claimOf(machine, nonce, joining)));
}

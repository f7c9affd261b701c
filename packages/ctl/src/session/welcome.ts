/**
 * What an unknown person or machine can ask of a fleet (account ENROL): the trust bundle under an anchor, and bus access for a certificate.
 * Replies are sealed to a curve key made for the one question.
 */
import { type Bus, connectBus } from "@muster/ports/bus";
import { parseServer } from "@muster/ports/bus-subjects";
import { type Access, AccessReply, HelloReply, SealedReply } from "@muster/protocol/enrolment";
import { type EnvelopeSigner, loadEnvelope, seal, storeEnvelope } from "@muster/protocol/envelope";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { createCurvePair, openSealed } from "@muster/protocol/sealed";
import { subjects } from "@muster/protocol/subjects";
import { anchorOf, openFirstBundle, sameAnchor, type TrustBundle } from "@muster/protocol/trust";
import type { z } from "zod";
import { brokerRoot } from "./broker-root.ts";

const TIMEOUT_MS = 5_000;

/** A broker whose root fits the anchor, and that root. Errors: WRONG_ANCHOR of the first that does not, else why none was reached. */
export async function findFleet(
  addresses: readonly string[],
  anchor: string,
  signal: AbortSignal,
): Promise<{ root_pem: string }> {
  let last: FleetError | undefined;
  for (const address of addresses) {
    try {
      const root_pem = await brokerRoot(parseServer(address), signal);
      if (sameAnchor(anchorOf(root_pem), anchor)) return { root_pem };
      throw new FleetError("WRONG_ANCHOR", `${address} shows ${anchorOf(root_pem)}; nothing was sent to it`);
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      if (last?.code !== "WRONG_ANCHOR") last = error;
    }
  }
  throw last ?? new FleetError("USAGE", "a broker's address is missing");
}

/** A connection without credentials. */
export function connectUnknown(
  brokers: readonly string[],
  broker_ca: string,
  signal: AbortSignal,
): Promise<Bus> {
  return connectBus(
    {
      servers: brokers,
      ca_pem: broker_ca,
      name: "ctl login",
      inbox_prefix: subjects.enrolInboxPrefix(),
      first_connect: "once",
    },
    signal,
  );
}

async function askSealed<S extends z.ZodType>(
  bus: Bus,
  method: string,
  request: (curve: string) => object,
  schema: S,
): Promise<z.output<S>> {
  const curve = createCurvePair();
  const body = Buffer.from(JSON.stringify(request(curve.public)));
  const message = await bus.request(subjects.enrol(method), body, { timeout_ms: TIMEOUT_MS });
  const { from, box } = parseJson(SealedReply, message.body, `answer to enrol.${method}`);
  const clear = openSealed(from, Buffer.from(box, "base64"), curve);
  return parseJson(schema, clear, `answer to enrol.${method}`);
}

/** Asks for the trust bundle and proves it under the anchor. Errors: NO_RESPONDER without a controller, WRONG_ANCHOR. */
export async function fetchFirstBundle(bus: Bus, anchor: string, root_pem: string): Promise<TrustBundle> {
  const hello = await askSealed(bus, "hello", (curve) => ({ v: 1, curve }), HelloReply);
  return openFirstBundle(loadEnvelope(hello.bundle), anchor, root_pem);
}

/** Bus access for the key `id`, on the authority of `signer`. Errors: NO_RESPONDER, and why the controller refused. */
export async function requestAccess(
  bus: Bus,
  id: string,
  signer: EnvelopeSigner,
  now_ms: number,
): Promise<{ user_jwt: string; expires: number }> {
  const access = Buffer.from(JSON.stringify({ id } satisfies Access));
  const envelope = storeEnvelope(seal(subjects.enrol("access"), access, signer, now_ms));
  const reply = await askSealed(bus, "access", (curve) => ({ v: 1, curve, access: envelope }), AccessReply);
  if (reply.status === "refused") throw FleetError.fromReply(reply.error);
  return { user_jwt: reply.user_jwt, expires: reply.expires };
}

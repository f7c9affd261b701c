/**
 * Answers what machines and people without bus access ask on `enrol.*`, and enrolled hosts on `host.<id>.*`. What ENROL sees is sealed to
 * the asker's curve key; a request that cannot be read gets no answer, since there is nobody to seal one to.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { askerOf, entryOf, summed } from "@muster/ports/audit";
import type { Bus, BusMessage } from "@muster/ports/bus";
import type { Log } from "@muster/ports/log";
import {
  AccessRequest,
  CONTROLLER_QUEUE,
  type CommandMemory,
  type CurvePair,
  createCurvePair,
  type HelloReply,
  HelloRequest,
  JoinRequest,
  PageRequest,
  patterns,
  RenewRequest,
  type SealedReply,
  sealTo,
} from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { AccessRecords } from "../records/access.ts";
import { access } from "./access.ts";
import { type JoinPorts, join } from "./join.ts";
import { requestAddress } from "./network.ts";
import { page } from "./page.ts";
import { renew } from "./renew.ts";

/** Requests of strangers in a second: sealing costs a millisecond each, and the fleet's work comes first. The rest waits its turn. */
const PER_SECOND = 500;
const REQUEST_BYTES = 64 * 1024;

export type ServicePorts = JoinPorts & {
  readonly access: AccessRecords;
  readonly bus: Pick<Bus, "subscribe" | "respond">;
  readonly log: Log;
  readonly memory: CommandMemory;
};

/** Answers until the signal aborts. */
export function serveEnrolment(ports: ServicePorts, signal: AbortSignal): void {
  const pair = createCurvePair();
  // Strangers cannot fill it: what is alike in a minute is one record. Who was let in is told each by himself.
  const sum = summed(ports.audit, signal);
  const audit: ServicePorts["audit"] = {
    tell: (entry) => (entry.result === "done" ? ports.audit.tell(entry) : sum(entry)),
  };
  const turn = paced(PER_SECOND);
  const options = { queue: CONTROLLER_QUEUE, concurrency: 128, pending_limit: 1_024 };
  const ends = [
    ports.bus.subscribe(patterns.enrol, options, async (message) => {
      if (message.body.length > REQUEST_BYTES) return;
      await turn();
      const began = performance.now();
      const reply = await answer(message, { ...ports, audit });
      if (reply === null) return;
      ports.bus.respond(message, Buffer.from(JSON.stringify(sealed(reply, pair))));
      ports.log.debug(
        { subject: message.subject, took_ms: Math.round(performance.now() - began) },
        "answered",
      );
    }),
    ports.bus.subscribe(patterns.host, options, (message) => answerHost(message, { ...ports, audit })),
  ];
  const end = () => {
    for (const stop of ends) stop();
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
}

type Answer = { readonly curve: string; readonly body: unknown };

async function answer(message: BusMessage, ports: ServicePorts): Promise<Answer | null> {
  try {
    switch (message.subject) {
      case "enrol.hello": {
        const { curve } = parseJson(HelloRequest, message.body, "hello");
        const nonce = await ports.tickets.giveNonce(curve);
        const body: HelloReply = { nonce, time: ports.now(), bundle: ports.trust.stored };
        return { curve, body };
      }
      case "enrol.join": {
        const request = parseJson(JoinRequest, message.body, "join");
        const body = await join(request, requestAddress(message.headers), ports);
        return { curve: request.claim.curve, body };
      }
      case "enrol.access": {
        const request = parseJson(AccessRequest, message.body, "access");
        return {
          curve: request.curve,
          body: await access(request.access, requestAddress(message.headers), ports),
        };
      }
      case "enrol.page": {
        const request = parseJson(PageRequest, message.body, "page");
        const fleet = ports.fleet.name;
        const body = await page(request, requestAddress(message.headers), { ...ports, fleet });
        return { curve: request.curve, body };
      }
      default:
        return null;
    }
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    // No form, or no store to keep a nonce in: the machine asks again, and the log says why.
    ports.log.warn({ err: error, subject: message.subject }, "a request for enrolment is not answered");
    return null;
  }
}

async function answerHost(message: BusMessage, ports: ServicePorts): Promise<void> {
  const [, id = "", method = ""] = message.subject.split(".");
  let reply: unknown;
  let code: FleetError["code"] | null = null;
  try {
    if (method !== "renew") throw new FleetError("NOT_FOUND", `no method ${method}; there is renew`);
    reply = { ok: await renew(id, parseJson(RenewRequest, message.body, "renewal"), ports) };
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    ports.log.warn({ err: error, id, method }, "a host's request failed");
    reply = { error: error.toReply() };
    code = error.code;
  }
  const target = `${ports.records.nameOf(id) ?? "unknown"} ${id}`.slice(0, 500);
  ports.audit.tell(
    entryOf({
      at: ports.now(),
      kind: "enrolment",
      by: null,
      from: askerOf(message.reply),
      what: method.slice(0, 64),
      target,
      authority: "the host's own key",
      result: code === null ? "done" : "refused",
      code,
    }),
  );
  ports.bus.respond(message, Buffer.from(JSON.stringify(reply)));
}

function sealed(reply: Answer, pair: CurvePair): SealedReply {
  const box = sealTo(reply.curve, Buffer.from(JSON.stringify(reply.body)), pair);
  return { from: pair.public, box: Buffer.from(box).toString("base64") };
}

/** Waits so long that no more than so many pass in a second, with a burst of as many as a tenth of that. */
function paced(per_second: number): () => Promise<void> {
  const each_ms = 1_000 / per_second;
  let next = 0;
  return async () => {
    const now = performance.now();
    next = Math.max(next, now - 100) + each_ms;
    if (next > now) await sleep(next - now);
  };
}

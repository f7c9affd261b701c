/**
 * Streams as the broker itself hands them out and takes them in: whole, with their sequence numbers, while it runs.
 * Source: docs.nats.io/reference/reference-protocols/nats_api_reference, STREAM.SNAPSHOT and STREAM.RESTORE.
 */
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import type { Bus } from "@muster/ports/bus";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";

const ANSWER_MS = 10_000;
/** Between two pieces. */
const SILENCE_MS = 30_000;
const CHUNK_BYTES = 128 * 1024;
const EMPTY = new Uint8Array();

const ApiError = z.object({ code: z.int(), description: z.string().default("") });
const Form = z.object({
  config: z.record(z.string(), z.unknown()),
  state: z.record(z.string(), z.unknown()),
});
/** What a stream was: its configuration and state, as the broker wants them back. */
export type StreamForm = z.infer<typeof Form>;
const SnapshotAnswer = Form.partial().extend({ error: ApiError.optional() });
const RestoreAnswer = z.object({ deliver_subject: z.string().optional(), error: ApiError.optional() });
const Restored = z.object({ error: ApiError.optional() });

/** Copies a stream into a file; null for one that does not exist. `inbox`: of this connection. */
export async function copyStream(
  bus: Bus,
  inbox: string,
  name: string,
  path: string,
): Promise<StreamForm | null> {
  const deliver_subject = `${inbox}.${randomBytes(8).toString("hex")}`;
  const file = await open(path, "wx", 0o600);
  let watch: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  try {
    let settle: (error: FleetError | null) => void = () => undefined;
    const ended = new Promise<FleetError | null>((resolve) => {
      settle = resolve;
    });
    const still = (): void => {
      clearTimeout(watch);
      watch = setTimeout(
        () => settle(new FleetError("TIMEOUT", `stream ${name}: the broker stopped in the middle`)),
        SILENCE_MS,
      );
    };
    stop = bus.subscribe(deliver_subject, { concurrency: 1 }, async (message) => {
      still();
      if (message.body.length === 0) {
        const status = message.headers?.Status ?? "";
        settle(/^[45]/.test(status) ? new FleetError("FAILED", `stream ${name}: ${status}`) : null);
        return;
      }
      await file.writeFile(message.body);
      if (message.reply !== undefined) bus.publish(message.reply, EMPTY);
    });
    still();
    const body = Buffer.from(
      JSON.stringify({ deliver_subject, no_consumers: true, chunk_size: CHUNK_BYTES }),
    );
    const answer = await bus.request(`$JS.API.STREAM.SNAPSHOT.${name}`, body, { timeout_ms: ANSWER_MS });
    const { error, config, state } = parseJson(
      SnapshotAnswer,
      answer.body,
      `the broker's answer about ${name}`,
    );
    if (error?.code === 404) return null;
    if (error !== undefined || config === undefined || state === undefined)
      throw new FleetError("FAILED", `stream ${name}: ${error?.description ?? "no answer that can be read"}`);
    const failed = await ended;
    if (failed !== null) throw failed;
    return { config, state };
  } finally {
    clearTimeout(watch);
    stop?.();
    await file.close();
  }
}

/** Makes a stream from its copy. Errors: FAILED with the broker's words, also for a stream that is there. */
export async function bringStream(bus: Bus, name: string, form: StreamForm, path: string): Promise<void> {
  const body = Buffer.from(JSON.stringify(form));
  const answer = await bus.request(`$JS.API.STREAM.RESTORE.${name}`, body, { timeout_ms: ANSWER_MS });
  const { deliver_subject, error } = parseJson(
    RestoreAnswer,
    answer.body,
    `the broker's answer about ${name}`,
  );
  if (error !== undefined || deliver_subject === undefined)
    throw new FleetError("FAILED", `stream ${name}: ${error?.description ?? "refused"}`);
  const file = await open(path);
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false }))
      await bus.request(deliver_subject, chunk as Buffer, { timeout_ms: SILENCE_MS });
  } finally {
    await file.close();
  }
  const last = await bus.request(deliver_subject, EMPTY, { timeout_ms: SILENCE_MS });
  const { error: refused } = parseJson(Restored, last.body, `the broker's answer about ${name}`);
  if (refused !== undefined) throw new FleetError("FAILED", `stream ${name}: ${refused.description}`);
}

/** As `ctl restore` reads it back. */
export const StreamForms = z.record(z.string(), Form);

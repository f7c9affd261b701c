/**
 * The metrics of `/metrics` to whoever takes OTLP over HTTP, in its JSON encoding (opentelemetry.io/docs/specs/otlp, opentelemetry-proto metrics v1): the same table, the same names, at a
 * period, by the leader alone. A value that could not be sent is not sent again: the next period has a newer one.
 */
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Log } from "@muster/ports/log";
import type { RouteStanding } from "@muster/protocol/alert";
import { FleetError, parseJson } from "@muster/protocol/errors";
import type { Otlp } from "@muster/protocol/monitoring";
import { z } from "zod";
import type { Family } from "../metrics/exposition.ts";
import { ask, authorization } from "../outside.ts";
import { pause } from "../retry.ts";

const packed = promisify(gzip);
/** Of one request: some megabyte of JSON, and far below what receivers take. */
const POINTS = 5_000;
/** AGGREGATION_TEMPORALITY_CUMULATIVE. */
const CUMULATIVE = 2;
const SHOWN = 200;
/** ExportMetricsServiceResponse in proto3's JSON, where a number of 64 bits may be a text. */
const Answer = z.object({
  partialSuccess: z
    .object({ rejectedDataPoints: z.coerce.number().default(0), errorMessage: z.string().default("") })
    .nullish(),
});

/** One after the other, as they are made. */
export type Families = AsyncIterable<Family> | Iterable<Family>;

export type OtlpPorts = {
  readonly fleet: string;
  families(): Families;
  readonly log: Log;
  readonly now: () => number;
  /** The value of a reference to Vault; any other text as it is. */
  secret(text: string): Promise<string>;
};

export class OtlpExport {
  readonly #otlp: Otlp;
  readonly #ports: OtlpPorts;
  readonly #life = new AbortController();
  #standing: Pick<RouteStanding, "ok_at" | "failing_since" | "error"> = {
    ok_at: null,
    failing_since: null,
    error: "",
  };
  readonly #running: Promise<void>;

  constructor(otlp: Otlp, ports: OtlpPorts) {
    this.#otlp = otlp;
    this.#ports = ports;
    this.#running = this.#run();
  }

  standing(): RouteStanding {
    return { name: "otlp", to: "otlp", ...this.#standing, waiting: 0 };
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#life;
    const { log, now } = this.#ports;
    while (!signal.aborted) {
      const began = performance.now();
      try {
        await this.#send(signal);
        if (this.#standing.failing_since !== null) log.info({}, "metrics go out by OTLP again");
        this.#standing = { ok_at: now(), failing_since: null, error: "" };
      } catch (error) {
        if (!(error instanceof FleetError)) throw error;
        if (signal.aborted) return;
        if (this.#standing.error === "") log.warn({ err: error }, "metrics by OTLP");
        this.#standing.failing_since ??= now();
        this.#standing.error = error.message.slice(0, 500);
      }
      await pause(Math.max(0, this.#otlp.every_ms - (performance.now() - began)), signal);
    }
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { fleet, families, now, secret } = this.#ports;
    const { ca, attributes } = this.#otlp;
    const [url, log_in] = await Promise.all([secret(this.#otlp.url), authorization(this.#otlp, secret)]);
    const headers = { "content-type": "application/json", "content-encoding": "gzip", ...log_in };
    const at = `${url.replace(/\/+$/, "")}/v1/metrics`;
    const resource = { "service.name": "muster", "service.namespace": fleet, ...attributes };
    let refused = 0;
    let why = "";
    for await (const request of otlpRequests(families(), resource, now())) {
      // A thousand hosts have many values: what controllers are there for goes in between.
      await turn();
      const body = await packed(JSON.stringify(request));
      const wanted = { method: "POST", url: at, what: "the OTLP receiver", headers, body, ca } as const;
      const rejected = rejectedOf(await ask(wanted, signal));
      refused += rejected.points;
      if (rejected.points > 0 && why === "") why = rejected.why;
    }
    if (refused > 0) throw new FleetError("FAILED", `the OTLP receiver refused ${refused} values: ${why}`);
  }
}

/** Of a request that was answered with success. An answer that is none of the protocol's refuses nothing: some receivers send an empty one. */
function rejectedOf(answer: string): { points: number; why: string } {
  try {
    const { partialSuccess } = parseJson(Answer, Buffer.from(answer), "the OTLP receiver's answer");
    const why = (partialSuccess?.errorMessage ?? "").replaceAll(/\s+/g, " ").slice(0, SHOWN);
    return { points: partialSuccess?.rejectedDataPoints ?? 0, why: why === "" ? "it does not say why" : why };
  } catch (error) {
    if (error instanceof FleetError) return { points: 0, why: "" };
    throw error;
  }
}

const attributesOf = (pairs: Iterable<readonly [string, string]>) =>
  [...pairs].map(([key, value]) => ({ key, value: { stringValue: value } }));

/** Each an ExportMetricsServiceRequest of bounded size; numbers of 64 bits are texts, as proto3's JSON has it. */
export async function* otlpRequests(
  families: Families,
  resource: Readonly<Record<string, string>>,
  now_ms: number,
): AsyncGenerator<object> {
  const timeUnixNano = `${now_ms}000000`;
  let metrics: object[] = [];
  let points = 0;
  const request = () => ({
    resourceMetrics: [
      {
        resource: { attributes: attributesOf(Object.entries(resource)) },
        scopeMetrics: [{ scope: { name: "muster" }, metrics }],
      },
    ],
  });
  for await (const { name, help, type, labels, values } of families)
    for (let from = 0; from < values.length; from += POINTS) {
      const dataPoints = values.slice(from, from + POINTS).map(({ words, value }) => ({
        attributes: attributesOf(labels.map((label, at) => [label, words[at] ?? ""] as const)),
        ...{ timeUnixNano, asDouble: Number.isFinite(value) ? value : String(value) },
      }));
      const data =
        type === "counter"
          ? { sum: { dataPoints, aggregationTemporality: CUMULATIVE, isMonotonic: true } }
          : { gauge: { dataPoints } };
      if (points > 0 && points + dataPoints.length > POINTS) {
        yield request();
        [metrics, points] = [[], 0];
      }
      metrics.push({ name, description: help, ...data });
      points += dataPoints.length;
    }
  if (points > 0) yield request();
}

/**
 * What the monitoring around a fleet is given: where Prometheus scrapes what the fleet runs, which Loki gets log lines, who gets metrics by OTLP. The folder's `monitoring.yml` and the `metrics` of its
 * services and containers, as they are signed for the controllers within the alert rules' document (`alerting.ts`).
 */
import { z } from "zod";
import { GroupName, HostName } from "./names.ts";
import { PUSHED_TO, UrlOrSecret } from "./outside.ts";

/** How a place that serves metrics is written: port and path, of the host or of the container. */
export const METRICS_AT = /^(?:(https?):\/\/)?:(\d{1,5})(\/[\x21-\x7e]*)?$/;
export const DEFAULT_METRICS_PATH = "/metrics";

/** A name of Prometheus' form; those with two underscores in front are its own. */
export const LabelName = z
  .string()
  .max(128)
  .regex(/^(?!__)[A-Za-z_][A-Za-z0-9_]*$/, "must be a label's name: letters, digits and _, not __ in front");

const few = (what: string, most: number) =>
  [(all: object) => Object.keys(all).length <= most, `must be at most ${most} ${what}`] as const;

/** One job, and on whom: Prometheus' own word for things that are scraped alike. */
export const ScrapeJob = z.strictObject({
  job: z
    .string()
    .regex(/^[^\p{Cc}]{1,200}$/u, "must be a name of one line")
    .describe("Label `job`: the name of the service, the container or the entry in monitoring.yml."),
  kind: z.enum(["host", "service", "container"]).describe("What it was declared at."),
  scheme: z.enum(["http", "https"]).describe("How it is asked."),
  path: z.string().max(512).startsWith("/").describe("Where its metrics are."),
  labels: z
    .record(LabelName, z.string().max(255))
    .refine(...few("labels", 16))
    .describe("Labels of its series."),
  targets: z.record(HostName, z.string().max(270)).describe("By host, address:port."),
});
export type ScrapeJob = z.infer<typeof ScrapeJob>;

const one_log_in = ({ token, user, password }: { token?: unknown; user?: unknown; password?: unknown }) =>
  (user === undefined) === (password === undefined) && (token === undefined || user === undefined);
const ONE_LOG_IN = "logs in either with `token`, or with `user` and `password`";

export const LokiFields = {
  url: UrlOrSecret.describe("Where `/loki/api/v1/push` is below, or where in Vault that is written."),
  tenant: z
    .string()
    .regex(/^[A-Za-z0-9!_.*'()-]{1,150}$/, "must be a tenant's id of Loki")
    .optional()
    .describe("Goes along as `X-Scope-OrgID`."),
  ...PUSHED_TO,
  labels: z
    .record(LabelName, z.string().max(255))
    // Loki takes 15, and has ours besides.
    .refine(...few("labels", 8))
    .default({})
    .describe("Of all lines, beside `job`, `fleet`, `host`, `unit` or `container`, and `priority`."),
} as const;
export const Loki = z.strictObject(LokiFields).refine(one_log_in, ONE_LOG_IN);
export type Loki = z.infer<typeof Loki>;

export const OtlpFields = {
  url: UrlOrSecret.describe("Where `/v1/metrics` is below, or where in Vault that is written."),
  ...PUSHED_TO,
  attributes: z
    .record(z.string().min(1).max(128), z.string().max(255))
    .refine(...few("attributes", 32))
    .default({})
    .describe("Of the resource, beside `service.name` and `service.namespace`."),
} as const;
export const Otlp = z
  .strictObject({
    ...OtlpFields,
    every_ms: z.int().min(5_000).max(3_600_000).describe("How often."),
  })
  .refine(one_log_in, ONE_LOG_IN);
export type Otlp = z.infer<typeof Otlp>;

export const Monitoring = z.strictObject({
  scrape: z.array(ScrapeJob).max(2_000).describe("What Prometheus is to scrape."),
  hosts: z
    .record(
      HostName,
      z.strictObject({
        groups: z.array(GroupName).max(256).describe("Those that it is in."),
        labels: z.record(z.string().max(63), z.string().max(255)).describe("Variables to select by."),
      }),
    )
    .describe("Of every host that is scraped."),
  loki: Loki.optional().describe("Who gets the lines of `log` resources; absent = nobody."),
  otlp: Otlp.optional().describe("Who gets the metrics by OTLP; absent = nobody."),
});
export type Monitoring = z.infer<typeof Monitoring>;

export const NO_MONITORING: Monitoring = { scrape: [], hosts: {} };

/** As Prometheus reads it: prometheus.io/docs/prometheus/latest/http_sd. */
export type TargetGroup = { readonly targets: readonly string[]; readonly labels: Record<string, string> };

/**
 * A group a target, ordered by job and host. `job` and `host` are labels of the series, as in `/metrics`; what begins with `__meta_muster_` is for
 * relabelling and then dropped, as every discovery of Prometheus has it. `job`: only this one.
 */
export function targetGroups({ scrape, hosts }: Monitoring, fleet: string, job?: string): TargetGroup[] {
  return scrape
    .filter((each) => job === undefined || each.job === job)
    .flatMap(({ targets, ...each }) =>
      Object.entries(targets).map(([host, target]) => {
        const { groups = [], labels = {} } = hosts[host] ?? {};
        const meta = [
          ["fleet", fleet],
          ["kind", each.kind],
          ["groups", `,${groups.join(",")},`],
          ...Object.entries(labels).map(([name, value]) => [`label_${labelText(name)}`, value]),
        ].map(([name, value]) => [`__meta_muster_${name}`, value]);
        return {
          targets: [target],
          labels: {
            ...Object.fromEntries(meta),
            ...each.labels,
            ...{ job: each.job, host, __scheme__: each.scheme, __metrics_path__: each.path },
          },
        };
      }),
    );
}

/** What no label's name may hold becomes an underscore, as Prometheus does it. */
const labelText = (name: string) => name.replaceAll(/[^A-Za-z0-9_]/g, "_");

/** monitoring.yml of the fleet folder: what the monitoring around is given, as people write it and, with the `metrics` of services and containers, as it is signed for the controllers. */
import { Loki, type Monitoring, Otlp, OtlpFields, ScrapeJob } from "@muster/protocol/monitoring";
import { z } from "zod";
import { readDuration } from "../output/words.ts";
import { MetricsAt, type Scraped, scrapedHost } from "./metrics-at.ts";
import type { Place, Problems } from "./problem.ts";
import type { Selectable } from "./selectors.ts";
import { chosenHosts, readTopFile } from "./top-file.ts";
import type { YamlNode } from "./yaml.ts";

export const MONITORING_FILE = "monitoring.yml";

/** monitoring.yml. */
export const MonitoringFile = z.strictObject({
  scrape: z
    .record(
      z.string().regex(/^[^\p{Cc}]{1,200}$/u, "must be a name of one line"),
      z.strictObject({
        metrics: MetricsAt,
        on: z.string().max(500).optional().describe("Only hosts of this selector; without it all."),
        labels: ScrapeJob.shape.labels.default({}).describe("Labels of its series, beside `job` and `host`."),
      }),
    )
    .default({})
    .describe(
      "What hosts serve that no `service` or `container` of the folder is: label `job` → where on them.",
    ),
  loki: Loki.optional().describe("Who gets the lines of `log` resources; without it nobody."),
  otlp: z
    .strictObject({
      ...OtlpFields,
      every: z
        .string()
        .refine((text) => readDuration(text) !== undefined, "must be like 30s, 5m or 2h")
        .default("1m")
        .describe("How often, from 5s to 1h."),
    })
    .optional()
    .describe("Who gets the metrics of `/metrics` by OTLP over HTTP; without it nobody."),
});

export type Scrapable = Selectable & {
  readonly groups: readonly string[];
  readonly labels: Record<string, string>;
  /** By which others reach it. */
  readonly address: string;
  /** Of its services and containers. */
  readonly scraped: readonly Scraped[];
};

/** What is declared; of a file with mistakes nothing, and they are noted. */
export function readMonitoring(
  tree: YamlNode | null,
  hosts: readonly Scrapable[],
  groups: readonly string[],
  problems: Problems,
): Monitoring {
  const read =
    tree === null
      ? null
      : readTopFile(
          MonitoringFile,
          MONITORING_FILE,
          tree,
          'scrape: { node: { metrics: ":9100" } }',
          problems,
        );
  const entries = Object.entries(read?.spec.scrape ?? {}).map(([job, { on, ...entry }]) => ({
    job,
    ...entry,
    on: read === null ? null : chosenHosts(on, "a scrape", read.at, { hosts, groups }, problems),
  }));
  const jobs = new Map<string, ScrapeJob>();
  const scraped_hosts = new Map<string, Monitoring["hosts"][string]>();
  for (const { name, groups: own, labels, address, scraped } of hosts) {
    const all = [
      ...scraped,
      ...entries
        .filter(({ on }) => on?.includes(name) ?? true)
        .map((entry) => scrapedHost(entry.job, "host", entry.metrics, address, entry.labels)),
    ];
    if (all.length > 0) scraped_hosts.set(name, { groups: [...own], labels });
    for (const { target, ...job } of all) {
      const key = JSON.stringify([
        job.job,
        job.kind,
        job.scheme,
        job.path,
        Object.entries(job.labels).sort(),
      ]);
      const held = jobs.get(key) ?? { ...job, targets: {} };
      held.targets[name] = target;
      jobs.set(key, held);
    }
  }
  const scrape = [...jobs.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, job]) => job);
  return {
    ...{ scrape, hosts: Object.fromEntries([...scraped_hosts].sort(([a], [b]) => (a < b ? -1 : 1))) },
    ...(read?.spec.loki === undefined ? {} : { loki: read.spec.loki }),
    ...otlpOf(read, problems),
  };
}

function otlpOf(
  read: { spec: z.output<typeof MonitoringFile>; at: Place } | null,
  problems: Problems,
): Pick<Monitoring, "otlp"> {
  if (read?.spec.otlp === undefined) return {};
  const { every, ...otlp } = read.spec.otlp;
  const signed = Otlp.safeParse({ ...otlp, every_ms: readDuration(every) });
  if (signed.success) return { otlp: signed.data };
  for (const { path, message } of signed.error.issues)
    problems.add(read.at, `otlp: ${path[0] === "every_ms" ? "`every` must be from 5s to 1h" : message}`);
  return {};
}

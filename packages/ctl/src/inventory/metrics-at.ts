/** Where a service or a container serves metrics, as Prometheus finds it from outside: the field `metrics` of the folder, which no manifest holds. Pure. */
import { isIPv6 } from "node:net";
import { DEFAULT_METRICS_PATH, METRICS_AT, type ScrapeJob } from "@muster/protocol/monitoring";
import type { Container } from "@muster/protocol/resources/container";
import type { Resource } from "@muster/protocol/resources/index";
import { z } from "zod";

export const MetricsAt = z
  .string()
  .max(600)
  .regex(METRICS_AT, 'must be a port and a path, such as ":9100", ":9090/metrics" or "https://:8443/metrics"')
  .refine((text) => !text.includes("?"), "must be a port and a path, without ?")
  .refine((text) => portOf(text) > 0 && portOf(text) <= 65_535, "must have a port from 1 to 65535")
  .describe("Port and path, such as :9100 or https://:8443/metrics; without a path it is /metrics.");

/** One job on one host. */
export type Scraped = Pick<ScrapeJob, "job" | "kind" | "scheme" | "path" | "labels"> & {
  readonly target: string;
};

const parts = (text: string) => {
  const [, scheme = "http", port = "", path = DEFAULT_METRICS_PATH] = METRICS_AT.exec(text) ?? [];
  return { scheme: scheme as ScrapeJob["scheme"], port: Number(port), path };
};
const portOf = (text: string) => parts(text).port;
const targetText = (address: string, port: number) =>
  isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;

/** On the host itself. */
export function scrapedHost(
  job: string,
  kind: "host" | "service",
  metrics: string,
  address: string,
  labels: Record<string, string> = {},
): Scraped {
  const { scheme, port, path } = parts(metrics);
  return { job, kind, scheme, path, labels, target: targetText(address, port) };
}

/** Of a service or a container. `fault`: nobody outside reaches it there, and what would be right. */
export function scrapedResource(
  resource: Resource,
  metrics: string,
  address: string,
): Scraped | { readonly fault: string; readonly hint: string } {
  const { scheme, port, path } = parts(metrics);
  if (resource.kind !== "container") return scrapedHost(resource.name, "service", metrics, address);
  const target = containerTarget(resource.spec, port, address);
  if (target !== null) return { job: resource.name, kind: "container", scheme, path, labels: {}, target };
  return {
    fault: `nothing outside of the host reaches port ${port} of the container`,
    hint: `ports: ["${port}:${port}"], or a fixed ipv6_address or ipv4_address in one of its networks`,
  };
}

/** Where it is published, else its fixed address, else null. */
function containerTarget(spec: Container, port: number, address: string): string | null {
  if (spec.network_mode === "host") return targetText(address, port);
  for (const mapping of spec.ports) {
    const [, ip, outside, inside] =
      /^(?:\[?([0-9a-fA-F:.]+?)\]?:)?(\d+):(\d+)(?:\/tcp)?$/.exec(mapping) ?? [];
    if (Number(inside) !== port) continue;
    const everywhere = ip === undefined || ip === "0.0.0.0" || ip === "::";
    return targetText(everywhere ? address : ip, Number(outside));
  }
  const fixed = Object.values(spec.networks);
  const own = fixed.find((each) => each.ipv6_address !== undefined)?.ipv6_address;
  const old = fixed.find((each) => each.ipv4_address !== undefined)?.ipv4_address;
  const found = own ?? old;
  return found === undefined ? null : targetText(found, port);
}

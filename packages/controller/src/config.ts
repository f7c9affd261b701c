/** The controller's configuration: one JSON file, and what it points to. No secret stands in it; the one that there is has a file of its own. */
import { readFile, stat } from "node:fs/promises";
import { LOG_LEVELS } from "@muster/ports/log";
import { FleetName, PersonName } from "@muster/protocol";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { z } from "zod";
import { LISTEN } from "./listening.ts";

const Path = z.string().startsWith("/", "must be an absolute path");

export const ControllerConfig = z.strictObject({
  fleet: FleetName,
  name: PersonName.default("controller").describe("Its name in its certificate and on the bus."),
  brokers: z.array(z.string().max(270)).min(1).max(16).describe("host:port, [v6]:port."),
  broker_ca: Path.describe("The root that brokers show in TLS; the anchor is its hash."),
  anchor: z
    .string()
    .regex(/^([A-Z2-7]{4}-){7}[A-Z2-7]{4}$/, "must be eight groups of four letters and digits")
    .describe("Hash over broker CA, operators' CA and admin keys."),
  account: z
    .string()
    .regex(/^A[A-Z2-7]{55}$/, "must be the public key of account FLEET")
    .describe("Public key of account FLEET."),
  vault: z
    .strictObject({
      addresses: z.array(z.url()).min(1).max(16).describe("Tried in this order."),
      ca: Path.describe("The root that Vault shows in TLS."),
      role_id: Path.describe("File with the AppRole's role id."),
      secret_id: Path.describe("Mode 0600: the only secret on this machine's disk."),
    })
    .describe("Where certificates and keys come from."),
  lifetimes_s: z
    .strictObject({
      agent: z.int().min(1).optional().describe("Bus JWTs of hosts; default 7 days."),
      service: z.int().min(1).optional().describe("Service certificates from a controller; default 7 days."),
      ssh: z.int().min(1).optional().describe("ssh host certificates from a controller; default 7 days."),
    })
    .optional()
    .describe("How long what is signed here lives. For trials: lives are chosen for outages."),
  backup_report: Path.optional().describe(
    "How the last backup went, as `ctl backup` on this server writes it.",
  ),
  metrics: z
    .strictObject({
      listen: z
        .string()
        .regex(LISTEN, "must be host:port or [v6]:port")
        .describe("host:port, [v6]:port: where Prometheus finds /metrics, in plain HTTP."),
    })
    .optional()
    .describe("Metrics of the whole fleet for Prometheus; absent = none."),
  dashboard: z
    .strictObject({
      listen: z
        .string()
        .regex(LISTEN, "must be host:port or [v6]:port")
        .describe("host:port, [v6]:port: where browsers find the page, in HTTPS."),
      addresses: z
        .array(z.url({ protocol: /^https$/ }))
        .min(1)
        .max(16)
        .describe("The page's addresses as browsers know them: https://name:port."),
      brokers: z
        .array(z.url({ protocol: /^wss$/ }))
        .min(1)
        .max(16)
        .describe("Where pages find the brokers: wss://name:port."),
      certificate: z
        .strictObject({
          certificate: Path.describe("PEM, with its chain."),
          key: Path.describe("PEM."),
        })
        .optional()
        .describe("One that browsers know; default: the controller's own, by the fleet's CA of services."),
      files: Path.default("/usr/share/muster/dashboard").describe("The page as it was built."),
    })
    .optional()
    .describe("The web page (ctl dashboard); absent = none is served here."),
  audit_export: z
    .strictObject({
      file: Path.optional().describe(
        "Records are appended here as lines of JSON, mode 0600; rotating it is yours.",
      ),
      syslog: z
        .discriminatedUnion("transport", [
          z.strictObject({
            transport: z
              .enum(["udp", "tls"])
              .describe(
                "RFC 5426 or RFC 5425. Over udp nothing is acknowledged: a record that is lost on its way does not come again.",
              ),
            host: z.string().max(253).describe("Name or address of the server."),
            port: z.int().min(1).max(65_535).describe("514 or 6514, as the server says."),
            ca: Path.optional().describe(
              "With tls: the root of the server's certificate; default: the system's.",
            ),
          }),
          z.strictObject({
            transport: z.literal("unix").describe("A socket on this machine."),
            path: Path.describe("A stream socket that takes messages with their length before them."),
          }),
        ])
        .optional()
        .describe("A syslog server, in the form of RFC 5424."),
    })
    .optional()
    .describe("Where the audit goes beside the broker."),
  log_level: z.enum(LOG_LEVELS).default("info").describe("Least level that is logged."),
});
export type ControllerConfig = z.infer<typeof ControllerConfig>;

/** Reads the file. Errors: CONFIG with every field that is wrong. */
export async function readConfig(path: string): Promise<ControllerConfig> {
  const text = await readText(path);
  try {
    return parseJson(ControllerConfig, text, path);
  } catch (cause) {
    throw cause instanceof FleetError ? new FleetError("CONFIG", cause.detail, { cause }) : cause;
  }
}

/** A file's text without the space around it. Errors: CONFIG. */
export async function readText(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    throw new FleetError("CONFIG", `${path} cannot be read`, { cause });
  }
}

/** A secret from its file, which nobody else may read. Errors: CONFIG. */
export async function readSecret(path: string): Promise<string> {
  const text = await readText(path);
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0)
    throw new FleetError("CONFIG", `${path} may be read by others: chmod 600 ${path}`);
  return text;
}

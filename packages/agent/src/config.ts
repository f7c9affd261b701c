/**
 * The agent's configuration: `/etc/muster/agent.json`, which need not exist, and beside it the join or fleet string as plain text files.
 * All places are fixed by it, so that an agent without root can live below a prefix of its own.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { HostName } from "@muster/protocol/names";
import { z } from "zod";

export const DEFAULT_CONFIG_FILE = "/etc/muster/agent.json";

const Path = z.string().startsWith("/", "must be an absolute path").max(500);

export const AgentConfig = z.strictObject({
  prefix: Path.or(z.literal("")).default("").describe("File system below which all other paths here lie."),
  state_directory: Path.default("/var/lib/muster-agent").describe("Keys, ledger, records."),
  runtime_directory: Path.default("/run/muster-agent").describe("Status for local commands."),
  join_file: Path.default("/etc/muster/join").describe("The join string, one line."),
  fleet_file: Path.default("/etc/muster/fleet").describe(
    "The fleet string of a machine that waits for approval.",
  ),
  name: HostName.optional().describe("Asked for at enrolment; default: the machine's own name."),
  bird_socket: Path.default("/run/bird/bird.ctl").describe("BIRD's control socket."),
  frr_socket: Path.default("/run/frr/bgpd.vty").describe(
    "The vty socket of FRR's bgpd, asked where there is no BIRD.",
  ),
  gobgp_api: z
    .union([
      z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}$/, "must be host:port or an absolute path"),
      Path,
    ])
    .default("127.0.0.1:50051")
    .describe(
      "Where GoBGP's gRPC API listens, or the path of its socket; asked where only /etc/gobgpd.conf declares sessions.",
    ),
  docker_socket: Path.default("/run/docker.sock").describe("Docker's socket."),
  ssh_port: z.int().min(1).max(65_535).default(22).describe("Watched while a change is unconfirmed."),
  log_level: z
    .enum(["trace", "debug", "info", "warn", "error"])
    .default("info")
    .describe("Least level that is logged."),
  ssh_certificate: z
    .boolean()
    .optional()
    .describe("Whether the ssh host certificate is installed into sshd; default: only without a prefix."),
  observe_period_ms: z.int().min(1_000).default(30_000).describe("How often all resources are looked at."),
  desired_period_ms: z.int().min(1_000).default(300_000).describe("How often the stream is asked, ±20 %."),
  settle_ms: z
    .int()
    .min(0)
    .default(10_000)
    .describe(
      "How long a guarded change must be good in a row. BIRD drops what a new filter rejects seconds later.",
    ),
});
export type AgentConfig = z.infer<typeof AgentConfig>;

/** Where things are on disk, prefix included. One list, so that nobody invents a second one. */
export type Places = {
  readonly config_file: string;
  readonly join_file: string;
  readonly fleet_file: string;
  readonly ssh_host_key: string;
  /** Held by the one agent that runs. */
  readonly alone: string;
  readonly keys: string;
  readonly credentials: string;
  readonly mark: string;
  readonly certificates: string;
  readonly root_ca: string;
  readonly trust: string;
  readonly ledger: string;
  readonly manifests: string;
  readonly contents: string;
  readonly holds: string;
  readonly records: string;
  readonly events: string;
  readonly spool: string;
  readonly history: string;
  readonly audit: string;
  readonly audit_sent: string;
  readonly acts: string;
  readonly commands: string;
  readonly checks: string;
  readonly logs: string;
  readonly status: string;
};

export function placesOf(config: AgentConfig, config_file: string): Places {
  const real = (path: string) => config.prefix + path;
  const at = (name: string) => join(real(config.state_directory), name);
  return {
    config_file,
    join_file: real(config.join_file),
    fleet_file: real(config.fleet_file),
    ssh_host_key: real("/etc/ssh/ssh_host_ed25519_key"),
    alone: at("alone.sock"),
    keys: at("keys.json"),
    credentials: at("credentials.json"),
    mark: at("mark.json"),
    certificates: at("certificates"),
    root_ca: at("root-ca.pem"),
    trust: at("trust.json"),
    ledger: at("ledger.json"),
    manifests: at("manifests"),
    contents: at("contents"),
    holds: at("holds.json"),
    records: at("unconfirmed"),
    events: at("events.jsonl"),
    spool: at("spool.json"),
    history: at("history"),
    audit: at("audit.jsonl"),
    audit_sent: at("audit-sent.json"),
    acts: at("acts.jsonl"),
    commands: at("commands"),
    checks: at("checks.json"),
    logs: at("logs.json"),
    status: join(real(config.runtime_directory), "status.json"),
  };
}

/** Reads the file; none at the default place means all defaults. Errors: CONFIG with file, field and what would be right. */
export function readConfig(file: string): AgentConfig {
  const text = readText(file);
  if (text === null) {
    if (file === DEFAULT_CONFIG_FILE) return AgentConfig.parse({});
    throw new FleetError("CONFIG", `${file}: there is no such file`);
  }
  try {
    return parseJson(AgentConfig, text, file);
  } catch (cause) {
    if (!(cause instanceof FleetError)) throw cause;
    throw new FleetError("CONFIG", cause.detail, { cause });
  }
}

/** The text of a small file without surrounding space; null when there is none or it is empty. Errors: CONFIG when it cannot be read. */
export function readText(file: string): string | null {
  try {
    const text = readFileSync(file, "utf8").trim();
    return text === "" ? null : text;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null;
    throw new FleetError("CONFIG", `${file}: ${cause instanceof Error ? cause.message : ""}`, { cause });
  }
}

/** This machine's name as a host name, or null when it cannot be one. */
export function machineName(): string | null {
  const [label = ""] = hostname().toLowerCase().split(".");
  const result = HostName.safeParse(label);
  return result.success ? result.data : null;
}

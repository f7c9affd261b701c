/** What the daemon and its local commands have in common: configuration, places, the ports of this host. No decision is made here. */
import { type Log, openLog } from "@muster/ports/log";
import { type Armer, createArmer } from "./arm.ts";
import { type AgentConfig, type Places, placesOf } from "./config.ts";
import {
  createAttempts,
  createBlobs,
  createDocker,
  createFiles,
  createFrr,
  createGobgp,
  createPackages,
  createRouting,
  createRun,
  createRunStreamed,
  createSystemd,
  createUsers,
  type Ports,
} from "./ports/index.ts";
import { refuseOwn } from "./resources/protected.ts";
import { Records } from "./unconfirmed.ts";

const BIRD_PROGRAM = "/usr/sbin/bird";

/** The ports of this host, below the configured prefix. */
export function buildPorts(config: AgentConfig, contents: string, signal: AbortSignal): Ports {
  const run = createRun();
  const files = createFiles(config.prefix, (paths) => refuseOwn(paths));
  const marker = config.prefix === "" ? {} : { marker: files.real("/run/systemd/system") };
  const systemd = createSystemd(run, marker);
  return {
    files,
    blobs: createBlobs(contents),
    run,
    runStreamed: createRunStreamed(),
    systemd,
    routing: createRouting({ socketPath: files.real(config.bird_socket), binary: BIRD_PROGRAM, run }, signal),
    frr: createFrr({ socketPath: files.real(config.frr_socket) }, signal),
    gobgp: createGobgp({ address: config.gobgp_api }, signal),
    docker: createDocker(files.real(config.docker_socket)),
    pulls: createAttempts(Date.now),
    packages: createPackages({ files, run, task: systemd.task, now: Date.now }),
    users: createUsers(files, run),
    confined: confinedBy(config),
    // What only ends changes that were begun needs no switches; the daemon reads them from its ledger.
    drain: () => null,
    now: Date.now,
  };
}

function confinedBy({ prefix }: AgentConfig): string | null {
  if (prefix !== "") return `this agent manages ${prefix} only, not the machine`;
  return process.getuid?.() === 0 ? null : "this agent does not run as root";
}

export type Base = {
  readonly config: AgentConfig;
  readonly places: Places;
  readonly ports: Ports;
  readonly records: Records;
  readonly armer: Armer;
  readonly log: Log;
};

/** What local commands and the daemon have in common. */
export function buildBase(config: AgentConfig, config_file: string, signal: AbortSignal): Base {
  const log = openLog({ name: "muster-agent", level: config.log_level });
  const places = placesOf(config, config_file);
  const ports = buildPorts(config, places.contents, signal);
  return {
    config,
    places,
    ports,
    records: new Records(places.records),
    armer: createArmer(ports.systemd, config_file, log),
    log,
  };
}

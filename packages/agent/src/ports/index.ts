/**
 * The ports of an agent, as one object that `system.ts` builds: thin doors to the host without decisions. Every path goes through `files`,
 * which knows the file-system prefix, so that an agent without root can live below one.
 */
import type { ThrownSwitch } from "@muster/protocol";
import type { Attempts } from "./attempts.ts";
import type { Blobs } from "./blobs.ts";
import type { Docker } from "./docker.ts";
import type { Files } from "./files.ts";
import type { Frr, Speaker } from "./frr.ts";
import type { Packages } from "./packages.ts";
import type { Routing } from "./routing.ts";
import type { Run, RunStreamed } from "./run.ts";
import type { Systemd } from "./systemd.ts";
import type { Users } from "./users.ts";

export type Ports = {
  readonly files: Files;
  readonly blobs: Blobs;
  readonly run: Run;
  readonly runStreamed: RunStreamed;
  readonly systemd: Systemd;
  readonly routing: Routing;
  readonly frr: Frr;
  readonly gobgp: Speaker;
  readonly docker: Docker;
  /** When images that could not be had may be asked for again. */
  readonly pulls: Attempts;
  readonly packages: Packages;
  readonly users: Users;
  /** Why this agent must keep its hands off what the whole machine shares (kernel, units, packages, accounts); null when they are its own. */
  readonly confined: string | null;
  /** The drain that is thrown for this host; null when it is not drained. */
  readonly drain: () => ThrownSwitch | null;
  readonly now: () => number;
};

export { type Attempts, createAttempts } from "./attempts.ts";
export { type Blobs, createBlobs } from "./blobs.ts";
export { createDocker, type Docker } from "./docker.ts";
export { createFiles, type Files } from "./files.ts";
export { createFrr, type Frr } from "./frr.ts";
export { createGobgp } from "./gobgp.ts";
export { createPackages, type Packages } from "./packages.ts";
export { createRouting, type Routing } from "./routing.ts";
export { createRun, createRunStreamed, type Run, type RunStreamed } from "./run.ts";
export { createSystemd, type Systemd } from "./systemd.ts";
export { createUsers, type Users } from "./users.ts";

/** Whether this machine can become a fleet's first server; each thing that is missing is said with what to do, all at once. */
import { access } from "node:fs/promises";
import { createServer } from "node:net";
import { FleetError } from "@muster/protocol/errors";
import { runProgram } from "./run.ts";
import { unitState } from "./units.ts";

/** A service of the first server: its unit, who runs it, the port that it must have. */
export type Service = { readonly unit: string; readonly user: string; readonly port: number | null };

export const BROKER: Service = { unit: "nats-server.service", user: "muster-nats", port: 4222 };
export const VAULT: Service = { unit: "vault.service", user: "muster-vault", port: 8200 };
export const CONTROLLER: Service = {
  unit: "muster-controller.service",
  user: "muster-controller",
  port: null,
};
export const AGENT: Service = { unit: "muster-agent.service", user: "root", port: null };

/** Errors: UNSUPPORTED with every reason and its remedy. */
export async function checkReady(services: readonly Service[], signal: AbortSignal): Promise<void> {
  if (process.platform !== "linux" || !(await exists("/run/systemd/system"))) {
    throw new FleetError(
      "UNSUPPORTED",
      "ctl init makes this machine the first server, and this one does not run systemd: type it on a Debian server, or give --out to have the files only",
    );
  }
  if (process.getuid?.() !== 0)
    throw new FleetError("UNSUPPORTED", "ctl init installs services on this machine: type it as root");
  const lacks = await Promise.all(services.map((service) => lackOf(service, signal)));
  const all = lacks.filter((lack) => lack !== null);
  if (all.length > 0) throw new FleetError("UNSUPPORTED", `\n${all.join("\n")}`);
}

async function lackOf({ unit, port }: Service, signal: AbortSignal): Promise<string | null> {
  const state = await unitState(unit, signal);
  if (!state.installed) return `${unit} is not installed: apt install ./muster.deb`;
  if (port === null || state.active || (await isFree(port))) return null;
  return `port ${port} is taken by ${await holderOf(port, signal)}, and ${unit} needs it: stop that, or take another machine`;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "::", () => server.close(() => resolve(true)));
  });
}

async function holderOf(port: number, signal: AbortSignal): Promise<string> {
  const { stdout } = await runProgram("ss", ["-Hltnp", `sport = :${port}`], {}, signal).catch(() => ({
    stdout: "",
  }));
  const [, name, pid] = /\(\("([^"]+)",pid=(\d+)/.exec(stdout) ?? [];
  return name === undefined ? "another program" : `${name} (process ${pid})`;
}

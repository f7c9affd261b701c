/**
 * Kind `service`: a systemd unit, running or not, started at boot or not. A service that is no longer declared is left as it is: Muster did
 * not make it. Only when its unit file goes too, because that was Muster's, it is stopped first.
 */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";
import type { UnitFacts } from "../ports/systemd.ts";
import { unitName } from "../ports/systemd.ts";
import type { Declared, KindPlan, PlanContext, ResourceKind } from "./kind.ts";
import { protectedUnit, refuseOwn } from "./protected.ts";

export type ObservedService = {
  /** False: this host runs no systemd. */
  readonly systemd: boolean;
  readonly unit: UnitFacts | null;
};

const UNIT_DIRECTORIES = [
  "/etc/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];

/** systemd keeps a link here for each unit that runs: made when it starts, removed when it stops. Seen so without asking it all the time. */
const INVOCATIONS = "/run/systemd/units";

/** Whether a step before installs a package. */
export const packageComes = (coming: ReadonlySet<string>) =>
  [...coming].some((each) => each.startsWith("package/"));

export const service: ResourceKind<"service", ObservedService> = {
  host_wide: true,
  async observe(resource, { systemd }, signal) {
    if (protectedUnit(resource.name))
      throw new FleetError("PROTECTED_PATH", `${resource.name} is a unit of the agent itself`);
    if (!(await systemd.available())) return { systemd: false, unit: null };
    const unit = (await systemd.units([resource.name], signal)).get(resource.name);
    refuseAlias(unit, resource.name);
    return { systemd: true, unit: unit?.loaded === true ? unit : null };
  },
  plan: planService,
  removal(resource, { unit }, { going }) {
    if (unit === null) return { steps: [] };
    const file = unit.fragment;
    if (file === null || !going.has(file)) {
      return {
        left: `${resource.name} stays as it is: ${unit.active}, ${unit.enabled ? "starts at boot" : "does not start at boot"}`,
      };
    }
    const step: Step = {
      ref: `service/${resource.name}`,
      action: "remove",
      args: { unit: resource.name },
      why: `no longer declared, and its unit file ${file} is removed`,
      effect: `stops ${resource.name}`,
      reversible: true,
    };
    return { steps: [step] };
  },
  apply: applyService,
  managed: ({ unit }) => (unit === null ? null : { running: isRunning(unit), enabled: unit.enabled }),
  edit(_resource, { unit }) {
    if (unit === null) return { what: "its unit was removed by hand", at_ms: null };
    if (unit.active === "failed") return { what: `failed (${unit.result})`, at_ms: null };
    const at_boot = unit.enabled ? "enabled" : "disabled";
    return {
      what: `${isRunning(unit) ? "started" : "stopped"}, ${at_boot} outside of Muster`,
      at_ms: unit.active_since_ms,
    };
  },
  // systemd tells changes by D-Bus only; being enabled is a link in a directory of its own.
  watch: (resource) => [`${INVOCATIONS}/invocation:${unitName(resource.name)}`],
};

function planService(
  resource: Declared<"service">,
  { systemd, unit }: ObservedService,
  { coming }: PlanContext,
): KindPlan {
  const { name, spec } = resource;
  const unsupported = (why: string): KindPlan => ({ steps: [], notes: [], unsupported: why });
  if (!systemd) return unsupported("this host does not run systemd");
  // Which units a package brings is known once it is there.
  const will_come =
    UNIT_DIRECTORIES.some((directory) => coming.has(`${directory}/${unitName(name)}`)) ||
    packageComes(coming);
  if (unit === null && !will_come) {
    // What is not there does not run and is not started at boot.
    if (spec.state === "stopped" && !spec.enabled) return { steps: [], notes: [] };
    return unsupported(`there is no unit ${unitName(name)} on this host`);
  }
  if (unit?.masked === true && (spec.state === "running" || spec.enabled))
    return unsupported(`${name} is masked: systemctl unmask it by hand first`);
  const notes: string[] = [];
  const steps: Step[] = [];
  const add = (action: string, why: string, effect?: string) =>
    steps.push({
      ref: `service/${name}`,
      action,
      args: { unit: name },
      why,
      ...(effect === undefined ? {} : { effect }),
      reversible: true,
    });
  const enabled = unit?.enabled ?? false;
  if (unit !== null && !unit.can_enable && spec.enabled !== enabled) {
    notes.push(
      `${name} has nothing to enable or disable (no [Install] section): it starts as other units ask for it`,
    );
  } else if (spec.enabled && !enabled) add("enable", "it would not start at boot");
  else if (!spec.enabled && enabled) add("disable", "it would start at boot");
  const running = unit !== null && isRunning(unit);
  if (spec.state === "running" && !running)
    add("start", unit === null ? "it is new" : `it is ${unit.active}`);
  if (spec.state === "stopped" && running) add("stop", `it is ${unit.active}`, `stops ${name}`);
  return { steps, notes };
}

async function applyService(step: Step, { systemd }: Ports, signal: AbortSignal): Promise<void> {
  const name = typeof step.args.unit === "string" ? step.args.unit : step.ref.slice("service/".length);
  if (protectedUnit(name)) throw new FleetError("PROTECTED_PATH", `${name} is a unit of the agent itself`);
  let unit = (await systemd.units([name], signal)).get(name);
  // A unit file that was written a moment ago is not known yet.
  if (unit === undefined || !unit.loaded || unit.needs_daemon_reload) {
    await systemd.daemonReload(signal);
    unit = (await systemd.units([name], signal)).get(name);
  }
  refuseAlias(unit, name);
  switch (step.action) {
    case "enable":
    case "disable":
    case "stop":
      return systemd.act(step.action, name, signal);
    case "start":
      await systemd.act("start", name, signal);
      return requireRunning(name, systemd, signal);
    case "reload":
      // One that does not run reads its files when it starts.
      if (unit === undefined || !isRunning(unit)) return;
      if (!unit.can_reload)
        throw new FleetError(
          "UNSUPPORTED",
          `${name} cannot reload: declare on_change: { restart: service/${name} }`,
        );
      return systemd.act("reload", name, signal);
    case "restart":
      if (unit === undefined || !isRunning(unit)) return;
      await systemd.act("restart", name, signal);
      return requireRunning(name, systemd, signal);
    case "remove":
      if (unit?.loaded === true) {
        await systemd.act("stop", name, signal);
        if (unit.enabled) await systemd.act("disable", name, signal);
      }
      return;
    default:
      throw new FleetError("INVALID", `service has no step ${step.action}`);
  }
}

/** systemd knows a unit by other names too. Errors: PROTECTED_PATH. */
function refuseAlias(unit: UnitFacts | undefined, name: string): void {
  if (unit?.fragment != null) refuseOwn([unit.fragment], name);
}

/** `systemctl start` succeeds for a program that ends right away (Type=simple): only a look afterwards tells. */
async function requireRunning(name: string, systemd: Ports["systemd"], signal: AbortSignal): Promise<void> {
  const unit = (await systemd.units([name], signal)).get(name);
  if (unit?.active === "failed")
    throw new FleetError(
      "FAILED",
      `${name} failed right after its start (${unit.result}): journalctl -u ${name}`,
    );
}

/** A reload or start under way counts: another `start` would only wait for it. */
function isRunning(unit: UnitFacts): boolean {
  return unit.active === "active" || unit.active === "reloading" || unit.active === "activating";
}

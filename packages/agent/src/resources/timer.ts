/**
 * Kind `timer`: NAME.timer and NAME.service in /etc/systemd/system, written from one declaration, the timer started and enabled. A run that is
 * under way is never cut off, neither by a change nor by a removal.
 */
import type { Step } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { textDiff } from "../diff.ts";
import type { Ports } from "../ports/index.ts";
import type { UnitFacts } from "../ports/systemd.ts";
import { editWords } from "./attributes.ts";
import type { Declared, KindPlan, PlanContext, ResourceKind } from "./kind.ts";
import { protectedUnit } from "./protected.ts";
import { packageComes } from "./service.ts";
import { serviceText, timerText } from "./timer-units.ts";

export type ObservedTimer = {
  /** False: this host runs no systemd. */
  readonly systemd: boolean;
  /** The texts of the two files; null where there is none. */
  readonly timer: string | null;
  readonly service: string | null;
  readonly active: boolean;
  readonly enabled: boolean;
  /** Unit files of that name that are not in /etc/systemd/system: somebody else's. */
  readonly elsewhere: string | null;
  /** systemd's words when it does not take `on_calendar`; only asked when it would be written. */
  readonly calendar_error: string | null;
  readonly user_missing: boolean;
  /** How the last run ended, in systemd's word; success also when there was none. */
  readonly last_result: string;
  readonly last_run_ms: number | null;
  readonly next_run_ms: number | null;
  readonly edited: { readonly owner: string; readonly changed_ms: number } | null;
};

const DIRECTORY = "/etc/systemd/system";
const FILE_BYTES = 64 * 1024;
const ATTRIBUTES = { owner: "root", group: "root", mode: "0644" } as const;
const CALENDAR_LIMIT_MS = 5_000;

const timerFile = (name: string) => `${DIRECTORY}/${name}.timer`;
const serviceFile = (name: string) => `${DIRECTORY}/${name}.service`;

export const timer: ResourceKind<"timer", ObservedTimer> = {
  host_wide: true,
  async observe(resource, ports, signal) {
    const { name, spec } = resource;
    const { files, systemd, users } = ports;
    if (protectedUnit(name)) throw new FleetError("PROTECTED_PATH", `${name} is a unit of the agent itself`);
    const available = await systemd.available();
    const [timer, service, facts, accounts, units] = await Promise.all([
      textOf(timerFile(name), ports),
      textOf(serviceFile(name), ports),
      files.facts(timerFile(name)),
      users.facts(),
      available ? systemd.units([`${name}.timer`, `${name}.service`], signal) : new Map<string, UnitFacts>(),
    ]);
    const [unit, job] = [units.get(`${name}.timer`), units.get(`${name}.service`)];
    const foreign = [unit?.fragment, job?.fragment].find(
      (path) => path !== undefined && path !== null && !path.startsWith(`${DIRECTORY}/`),
    );
    const differs = timer !== timerText(name, spec);
    return {
      systemd: available,
      timer,
      service,
      active: unit?.active === "active",
      enabled: unit?.enabled === true,
      elsewhere: foreign ?? null,
      calendar_error:
        available && differs && spec.on_calendar !== undefined
          ? await calendarError(spec.on_calendar, ports, signal)
          : null,
      user_missing: !accounts.users.has(spec.user) && spec.user !== "root",
      last_result: job?.result ?? "success",
      last_run_ms: unit?.last_run_ms ?? null,
      next_run_ms: unit?.next_run_ms ?? null,
      edited: facts === null ? null : { owner: facts.owner, changed_ms: facts.changed_ms },
    };
  },
  plan: planTimer,
  removal({ name }, observed, { made }) {
    if (observed.timer === null && observed.service === null) return { steps: [] };
    if (!made) return { left: `${name}.timer was there before Muster wrote it` };
    const step: Step = {
      ref: `timer/${name}`,
      action: "remove",
      args: { name },
      why: "no longer declared",
      effect: `${name} is not run any more; a run under way goes on`,
      reversible: true,
    };
    return { steps: [step] };
  },
  apply: applyTimer,
  managed: ({ timer, service, active, enabled }) => ({ timer, service, active, enabled }),
  edit(resource, observed) {
    const { timer, service, edited } = observed;
    const as_written =
      timer === timerText(resource.name, resource.spec) &&
      service === serviceText(resource.name, resource.spec);
    if (!as_written) return { what: editWords(edited), at_ms: edited?.changed_ms ?? null };
    return {
      what: observed.active ? "disabled outside of Muster" : "stopped outside of Muster",
      at_ms: null,
    };
  },
  concern: ({ name }, { last_result }) =>
    last_result === "success" ? null : `its last run failed (${last_result}): journalctl -u ${name}`,
  units: ({ name }) => [`${name}.timer`],
  watch: ({ name }) => [timerFile(name), serviceFile(name), `${DIRECTORY}/timers.target.wants/${name}.timer`],
};

function planTimer(resource: Declared<"timer">, observed: ObservedTimer, context: PlanContext): KindPlan {
  const { name, spec } = resource;
  const waits = (unsupported: string): KindPlan => ({ steps: [], notes: [], unsupported });
  if (!observed.systemd) return waits("this host does not run systemd");
  if (observed.elsewhere !== null)
    return waits(`${observed.elsewhere} is there already: call the timer by another name`);
  if (observed.calendar_error !== null)
    return {
      steps: [],
      notes: [],
      refused: { code: "INVALID", detail: `on_calendar ${spec.on_calendar}: ${observed.calendar_error}` },
    };
  if (observed.user_missing && !context.coming.has(`user/${spec.user}`) && !packageComes(context.coming))
    return waits(`there is no user ${spec.user} on this host`);
  const wanted = { timer: timerText(name, spec), service: serviceText(name, spec) };
  const steps: Step[] = [];
  const step = (action: string, args: Step["args"], why: string, diff = "") =>
    steps.push({
      ref: `timer/${name}`,
      action,
      args: { name, ...args },
      why,
      ...(diff === "" ? {} : { diff }),
      reversible: true,
    });
  const makes = observed.timer === null && observed.service === null;
  if (observed.timer !== wanted.timer || observed.service !== wanted.service) {
    const before = `${observed.timer ?? ""}${observed.service ?? ""}`;
    const hashes = { timer_sha256: sha256(wanted.timer), service_sha256: sha256(wanted.service) };
    const why = makes ? `it is not there; ${whenWords(spec)}` : "its units differ";
    step(
      "write",
      { ...hashes, ...(makes ? { makes: true } : {}) },
      why,
      textDiff(before, `${wanted.timer}${wanted.service}`).text,
    );
  }
  if (!observed.enabled) step("enable", {}, "it would not start at boot");
  if (!observed.active) step("start", {}, "it does not run");
  return { steps, notes: [] };
}

const whenWords = ({ on_calendar, every }: Declared<"timer">["spec"]) =>
  on_calendar === undefined ? `every ${every}` : on_calendar;

async function applyTimer(
  step: Step,
  { files, systemd }: Ports,
  signal: AbortSignal,
  { resource }: { readonly resource: Declared<"timer"> | null },
): Promise<void> {
  const name = step.ref.slice("timer/".length);
  if (protectedUnit(name)) throw new FleetError("PROTECTED_PATH", `${name} is a unit of the agent itself`);
  switch (step.action) {
    case "write": {
      const [timer, service] =
        resource === null ? ["", ""] : [timerText(name, resource.spec), serviceText(name, resource.spec)];
      if (sha256(timer) !== step.args.timer_sha256 || sha256(service) !== step.args.service_sha256)
        throw new FleetError("ALTERED", `${step.ref}: its units are not the ones that were planned`);
      await files.replace(serviceFile(name), Buffer.from(service), ATTRIBUTES);
      await files.replace(timerFile(name), Buffer.from(timer), ATTRIBUTES);
      await systemd.daemonReload(signal);
      // A timer that runs takes a new time only when it starts again.
      const unit = (await systemd.units([`${name}.timer`], signal)).get(`${name}.timer`);
      if (unit?.active === "active") await systemd.act("restart", `${name}.timer`, signal);
      return;
    }
    case "enable":
    case "start":
      return systemd.act(step.action, `${name}.timer`, signal);
    case "remove": {
      const unit = (await systemd.units([`${name}.timer`], signal)).get(`${name}.timer`);
      if (unit?.loaded === true) {
        await systemd.act("stop", `${name}.timer`, signal);
        await systemd.act("disable", `${name}.timer`, signal);
      }
      await files.remove(timerFile(name));
      await files.remove(serviceFile(name));
      return systemd.daemonReload(signal);
    }
    default:
      throw new FleetError("INVALID", `timer has no step ${step.action}`);
  }
}

async function textOf(path: string, { files }: Ports): Promise<string | null> {
  const facts = await files.facts(path);
  if (facts?.type !== "file") return null;
  return (await files.read(path, FILE_BYTES))?.toString("utf8") ?? null;
}

async function calendarError(
  expression: string,
  { run }: Ports,
  signal: AbortSignal,
): Promise<string | null> {
  const args = ["calendar", "--", expression];
  const result = await run("systemd-analyze", args, { timeout_ms: CALENDAR_LIMIT_MS }, signal);
  if (result.code === 0) return null;
  return result.stderr.trim().split("\n")[0]?.slice(0, 500) || "systemd does not take it";
}

/**
 * Kind `package`: a Debian package. All of a round are one apt run (`together`). What people or timers change is shown and left; what is
 * no longer declared stays installed: removing a package takes a declaration of its own.
 */
import type { Step } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { Ports } from "../ports/index.ts";
import { DPKG_STATUS, type PackageFacts, REBOOT_REQUIRED } from "../ports/packages.ts";
import type { Declared, KindPlan, ResourceKind } from "./kind.ts";

export type ObservedPackage = {
  /** False: dpkg does not manage this host. */
  readonly dpkg: boolean;
  readonly facts: PackageFacts;
  /** The host waits for a reboot (reboot-notifier, unattended-upgrades). */
  readonly reboot_due: boolean;
  readonly changed_ms: number | null;
};

export const packageKind: ResourceKind<"package", ObservedPackage> = {
  host_wide: true,
  async observe({ name }, { packages, files }) {
    if (/^muster(-|$)/.test(name))
      throw new FleetError("PROTECTED_PATH", `${name} is a package of Muster itself`);
    const [dpkg, facts, reboot, status] = await Promise.all([
      packages.available(),
      packages.facts([name]),
      files.facts(REBOOT_REQUIRED),
      files.facts(DPKG_STATUS),
    ]);
    const none: PackageFacts = { version: null, held: false, broken: null };
    return {
      dpkg,
      facts: facts.get(name) ?? none,
      reboot_due: reboot !== null,
      changed_ms: status?.changed_ms ?? null,
    };
  },
  plan: planPackage,
  removal({ name }, { facts }, { made }) {
    if (facts.version === null) return { steps: [] };
    const how = made ? "ctl host prune removes it" : "declare it with state: absent to remove it";
    return { left: `${name} ${facts.version} stays installed${facts.held ? ", held" : ""}: ${how}` };
  },
  prune: {
    plan({ name }, { facts }, made) {
      if (facts.version === null) return null;
      if (!made)
        return {
          left: `${name} was installed before Muster came: declare it with state: absent to remove it`,
        };
      if (facts.held) return { left: `${name} is held on the host: apt-mark unhold ${name}` };
      return { goes: `the package ${name} ${facts.version}; its configuration in /etc stays` };
    },
    async apply(names, { packages }, signal) {
      const failed = await packages.change({ install: [], remove: names, hold: [], unhold: [] }, signal);
      return new Map([...failed].map(([name, why]) => [name, new FleetError("COMMAND_FAILED", why)]));
    },
  },
  async apply(step, ports, signal) {
    const [error] = (await changeAll([step], ports, signal)).values();
    if (error !== undefined) throw error;
  },
  together: { reach: "all", joins: () => true, apply: changeAll },
  // Which version it is is no hand edit: another declared one comes in any case, and the difference is shown without that.
  managed: ({ facts }) => ({ installed: facts.version !== null, held: facts.held }),
  edit({ name }, { facts, changed_ms }) {
    const what =
      facts.version === null ? `${name} is not installed` : `${name} ${facts.version} is installed`;
    return { what: `${what}${facts.held ? ", held" : ""}`, at_ms: changed_ms };
  },
  watch: () => [DPKG_STATUS],
};

async function changeAll(
  steps: readonly Step[],
  { packages }: Ports,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, FleetError>> {
  const named = (action: string) =>
    steps.filter((step) => step.action === action).map((step) => String(step.args.package));
  const unknown = steps.find(({ action }) => !["install", "remove", "hold", "unhold"].includes(action));
  if (unknown !== undefined) throw new FleetError("INVALID", `package has no step ${unknown.action}`);
  const failed = await packages.change(
    {
      install: steps
        .filter(({ action }) => action === "install")
        .map(({ args }) => ({
          name: String(args.package),
          version: typeof args.version === "string" ? args.version : null,
          held: args.held === true,
        })),
      remove: named("remove"),
      hold: named("hold"),
      unhold: named("unhold"),
    },
    signal,
  );
  return new Map(
    [...failed].map(([name, why]) => [`package/${name}`, new FleetError("COMMAND_FAILED", why)]),
  );
}

function planPackage(
  { name, spec }: Declared<"package">,
  { dpkg, facts, reboot_due }: ObservedPackage,
): KindPlan {
  const waits = (why: string): KindPlan => ({ steps: [], notes: [], unsupported: why });
  if (!dpkg) return waits("this host has no dpkg");
  const step = (action: string, why: string, args: Step["args"] = {}, effect?: string): Step => ({
    ref: `package/${name}`,
    action,
    args: { package: name, ...args },
    why,
    ...(effect === undefined ? {} : { effect }),
    reversible: true,
  });
  const by_hand = facts.held && spec.hold !== true;
  if (spec.state === "absent") {
    if (facts.version === null) return { steps: [], notes: [] };
    if (facts.held) return waits(`${name} is held on the host: apt-mark unhold ${name}`);
    const effect = "its configuration in /etc stays";
    return { steps: [step("remove", `${facts.version} is installed`, {}, effect)], notes: [] };
  }
  const steps: Step[] = [];
  const version = spec.version ?? null;
  const other = version !== null && facts.version !== version;
  if (facts.version === null || other || facts.broken !== null) {
    if (by_hand && other && spec.hold === undefined)
      return waits(`${name} ${facts.version} is held on the host by hand: apt-mark unhold ${name}`);
    const why =
      facts.version === null
        ? `it is not installed${version === null ? "" : `, ${version} is declared`}`
        : other
          ? `${facts.version} is installed, ${version} is declared`
          : `dpkg left it ${facts.broken}`;
    const makes = facts.version === null ? { makes: true } : {};
    steps.push(step("install", why, { version, held: facts.held, ...makes }));
  }
  if (spec.hold === true && !facts.held) steps.push(step("hold", "apt must leave it at its version"));
  if (spec.hold === false && facts.held) steps.push(step("unhold", "it is held, and is not to be"));
  return { steps, notes: steps.length > 0 && reboot_due ? ["this host waits for a reboot"] : [] };
}

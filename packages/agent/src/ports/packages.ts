/**
 * Debian packages: what is installed from dpkg's own status file, without a process; what could be from apt's lists; changes by one apt run
 * for all. That run has a unit of its own, since dpkg must not be cut off when the agent ends, and maintainer scripts must not get its limits.
 */
import type { Files } from "./files.ts";
import { type PendingAnswer, pendingPackages } from "./packages-pending.ts";
import type { Run } from "./run.ts";
import type { Task } from "./systemd.ts";

export type PackageFacts = {
  /** Null when it is not installed. */
  readonly version: string | null;
  readonly held: boolean;
  /** dpkg's word for a package that is neither installed nor not: half-configured, unpacked, …; null when all is well. */
  readonly broken: string | null;
};

/** All of one round. Names are Debian's, versions exact. */
export type PackageChange = {
  /** `held`: it is on hold now, and meant to change nevertheless. */
  readonly install: readonly {
    readonly name: string;
    readonly version: string | null;
    readonly held: boolean;
  }[];
  readonly remove: readonly string[];
  readonly hold: readonly string[];
  readonly unhold: readonly string[];
};

export type Packages = {
  /** Whether dpkg manages this host. */
  available(): Promise<boolean>;
  facts(names: readonly string[]): Promise<ReadonlyMap<string, PackageFacts>>;
  /** What could be renewed, by apt's lists as they are. Half a second of the processor. Errors: COMMAND_FAILED, CANCELLED. */
  pending(signal: AbortSignal): Promise<PendingAnswer>;
  /**
   * Does it, reading apt's lists anew when they are old or lack something. Gives what did not work, by package, in apt's words.
   * Errors: COMMAND_FAILED, CONFLICT when none of it was begun.
   */
  change(change: PackageChange, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
};

export type PackagesOptions = {
  readonly files: Files;
  readonly run: Run;
  readonly task: (task: Task, signal: AbortSignal) => Promise<number>;
  readonly now: () => number;
  /** More options for apt, as `-o` takes them. */
  readonly apt_options?: readonly string[];
  /** How long another program may keep dpkg or apt's lists locked; the next round tries again. */
  readonly lock_wait_s?: number;
};

/** Made by packages that want a reboot, gone with the boot. */
export const REBOOT_REQUIRED = "/run/reboot-required";
export const DPKG_STATUS = "/var/lib/dpkg/status";
export const APT_LISTS = "/var/lib/apt/lists";
const LOG = "/run/muster-apt.log";
const STATUS_BYTES = 64 * 1024 * 1024;
const LOG_BYTES = 4 * 1024 * 1024;
const LISTS_GOOD_MS = 3_600_000;
/** What is not in the lists is asked for again after that: each try may be a round's. */
const ASK_AGAIN_MS = 600_000;
const UPDATE_LIMIT_MS = 300_000;
const CHANGE_LIMIT_MS = 1_800_000;
const ASK_LIMIT_MS = 60_000;
const MARK_LIMIT_MS = 60_000;
const ENVIRONMENT = {
  DEBIAN_FRONTEND: "noninteractive",
  LC_ALL: "C.UTF-8",
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  // It would restart daemons of its own accord, BIRD among them; what is due stands in `needrestart -b`.
  NEEDRESTART_MODE: "l",
  APT_LISTCHANGES_FRONTEND: "none",
};

export function createPackages(options: PackagesOptions): Packages {
  const { files, run, task, now, apt_options = [], lock_wait_s = 10 } = options;
  let known: { stamp: string; facts: ReadonlyMap<string, PackageFacts> } | null = null;
  let asked_at = Number.NEGATIVE_INFINITY;

  const all = async (): Promise<ReadonlyMap<string, PackageFacts>> => {
    const found = await files.facts(DPKG_STATUS);
    const stamp = `${found?.changed_ms}:${found?.size_bytes}`;
    if (known?.stamp === stamp) return known.facts;
    const text = (await files.read(DPKG_STATUS, STATUS_BYTES))?.toString("utf8") ?? "";
    known = { stamp, facts: readStatus(text) };
    return known.facts;
  };

  const apt = [
    "apt-get",
    ...["-q", "-y", "-o", `DPkg::Lock::Timeout=${lock_wait_s}`, "-o", "APT::Get::Show-Versions=true"],
    // Of a configuration file that was changed here, what is here stays.
    ...["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"],
    ...apt_options.flatMap((option) => ["-o", option]),
  ];

  /** One program in the unit; what it printed. */
  const unit = async (command: readonly string[], limit_ms: number, signal: AbortSignal) => {
    const log = files.real(LOG);
    const code = await task({ name: "muster-apt", command, environment: ENVIRONMENT, limit_ms, log }, signal);
    const output = (await files.read(LOG, LOG_BYTES))?.toString("utf8") ?? "";
    return { code, output };
  };

  const refresh = async (signal: AbortSignal): Promise<string> => {
    asked_at = now();
    const { output } = await unit([...apt, "update"], UPDATE_LIMIT_MS, signal);
    return wordsOf(output);
  };

  const versions = async (names: readonly string[], signal: AbortSignal) => {
    const args = [...apt_options.flatMap((option) => ["-o", option]), "madison", ...names];
    const result = await run("apt-cache", args, { timeout_ms: ASK_LIMIT_MS }, signal);
    const found = new Map<string, string[]>();
    for (const line of result.stdout.split("\n")) {
      const [name = "", version = ""] = line.split("|").map((part) => part.trim());
      if (version !== "") found.set(name, [...new Set([...(found.get(name) ?? []), version])]);
    }
    return found;
  };

  /** Why each of these cannot be had, from the lists as they are. */
  const lacking = async (install: PackageChange["install"], signal: AbortSignal) => {
    if (install.length === 0) return new Map<string, string>();
    const names = install.map(({ name }) => name);
    const there = await versions(names, signal);
    return new Map(
      install.flatMap(({ name, version }): [string, string][] => {
        const offered = there.get(name) ?? [];
        if (offered.length === 0) return [[name, `apt knows no package ${name}`]];
        if (version === null || offered.includes(version)) return [];
        const list = offered.slice(0, 10).join(", ");
        return [[name, `apt has no version ${version} of ${name}; it has ${list}`]];
      }),
    );
  };

  const listsOld = async (): Promise<boolean> => {
    const changed_ms = (await files.facts(APT_LISTS))?.changed_ms ?? 0;
    return now() - Math.max(changed_ms, asked_at) > LISTS_GOOD_MS;
  };

  const mark = async (verb: "hold" | "unhold", names: readonly string[], signal: AbortSignal) => {
    if (names.length === 0) return "";
    const args = [...apt_options.flatMap((option) => ["-o", option]), verb, ...names];
    const result = await run("apt-mark", args, { timeout_ms: MARK_LIMIT_MS }, signal);
    return result.code === 0
      ? ""
      : `apt-mark ${verb}: ${(result.stderr || result.stdout).trim().slice(0, 1_000)}`;
  };

  return {
    available: async () => (await files.facts(DPKG_STATUS)) !== null,
    async facts(names) {
      const found = await all();
      return new Map(names.map((name) => [name, found.get(name) ?? NOT_THERE]));
    },
    pending: (signal) => pendingPackages(run, apt_options, signal),
    async change(change, signal) {
      const failed = new Map<string, string>();
      let update = "";
      if (change.install.length > 0) {
        if (await listsOld()) update = await refresh(signal);
        let missing = await lacking(change.install, signal);
        if (missing.size > 0 && now() - asked_at > ASK_AGAIN_MS) {
          update = await refresh(signal);
          missing = await lacking(change.install, signal);
        }
        for (const [name, why] of missing) failed.set(name, update === "" ? why : `${why} (${update})`);
      }
      const install = change.install.filter(({ name }) => !failed.has(name));
      const wanted = [
        ...install.map(({ name, version }) => (version === null ? name : `${name}=${version}`)),
        ...change.remove.map((name) => `${name}-`),
      ];
      if (wanted.length > 0) {
        const held = install.some((each) => each.held) ? ["--allow-change-held-packages"] : [];
        const args = ["--allow-downgrades", ...held, "install", "--", ...wanted];
        const why = (await loses(args, change.remove, signal)) || (await installAll(args));
        if (why !== "") {
          // One that fails may leave others done: dpkg's own word counts.
          const open = await undone(install, change.remove);
          const asked = [...install.map(({ name }) => name), ...change.remove];
          for (const name of open.length > 0 ? open : asked) failed.set(name, why);
        }
      }
      const holds = await mark(
        "hold",
        change.hold.filter((name) => !failed.has(name)),
        signal,
      );
      const unholds = await mark(
        "unhold",
        change.unhold.filter((name) => !failed.has(name)),
        signal,
      );
      if (holds !== "") for (const name of change.hold) failed.set(name, holds);
      if (unholds !== "") for (const name of change.unhold) failed.set(name, unholds);
      return failed;

      /** A run that was cut off, as by a loss of power, is finished first: apt refuses everything until then, and says so. */
      async function installAll(args: readonly string[]): Promise<string> {
        const first = await unit([...apt, ...args], CHANGE_LIMIT_MS, signal);
        if (first.code === 0) return "";
        if (!first.output.includes("dpkg --configure -a")) return saidOf(first);
        const finish = ["dpkg", "--configure", "--force-confdef", "--force-confold", "-a"];
        const finished = await unit(finish, CHANGE_LIMIT_MS, signal);
        if (finished.code !== 0) return saidOf(finished);
        const lost = await loses(args, change.remove, signal);
        if (lost !== "") return lost;
        const again = await unit([...apt, ...args], CHANGE_LIMIT_MS, signal);
        return again.code === 0 ? "" : saidOf(again);
      }
    },
  };

  /** What would go away besides what is meant to; "" when nothing would. */
  async function loses(
    args: readonly string[],
    remove: readonly string[],
    signal: AbortSignal,
  ): Promise<string> {
    const [program = "", ...rest] = apt;
    const result = await run(program, [...rest, "--simulate", ...args], { timeout_ms: ASK_LIMIT_MS }, signal);
    const output = result.stdout + result.stderr;
    // The run itself finishes what was cut off.
    if (result.code !== 0) return output.includes("dpkg --configure -a") ? "" : saidOf({ ...result, output });
    const gone = [...result.stdout.matchAll(/^Remv (\S+)/gm)]
      .map(([, name = ""]) => name.replace(/:.*/, ""))
      .filter((name) => !remove.includes(name));
    if (gone.length === 0) return "";
    return `apt would also remove ${gone.slice(0, 20).join(", ")}: declare what should go with state: absent`;
  }

  async function undone(install: PackageChange["install"], remove: readonly string[]): Promise<string[]> {
    const found = await all();
    const there = (name: string) => found.get(name) ?? NOT_THERE;
    return [
      ...install
        .filter(({ name, version }) => {
          const facts = there(name);
          return (
            facts.version === null || facts.broken !== null || (version ?? facts.version) !== facts.version
          );
        })
        .map(({ name }) => name),
      ...remove.filter((name) => there(name).version !== null),
    ];
  }
}

const NOT_THERE: PackageFacts = { version: null, held: false, broken: null };

/** dpkg's status file (deb-status in dpkg(1)): a stanza a package and architecture. */
function readStatus(text: string): ReadonlyMap<string, PackageFacts> {
  const found = new Map<string, PackageFacts>();
  const native = /^Package: dpkg\n(?:.+\n)*?Architecture: (\S+)$/m.exec(text)?.[1];
  for (const stanza of text.split("\n\n")) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
    const name = field("Package");
    if (name === "") continue;
    // The same package of another architecture is another one, and not the one that is meant by its bare name.
    const architecture = field("Architecture");
    if (native !== undefined && architecture !== native && architecture !== "all") continue;
    const [want = "", , state = ""] = field("Status").split(" ");
    const whole = state === "installed" || state.startsWith("triggers-");
    const gone = state === "not-installed" || state === "config-files";
    found.set(name, {
      version: gone ? null : field("Version"),
      held: want === "hold",
      broken: whole || gone ? null : state,
    });
  }
  return found;
}

const saidOf = ({ code, output }: { readonly code: number; readonly output: string }) =>
  wordsOf(output) || `it ended with ${code}`;

/** What apt complains of; of a lock, who holds it. */
function wordsOf(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  const errors = lines.filter((line) => /^(E:|Err:|dpkg: error|W: Failed)/.test(line));
  const lock =
    errors.find((line) => line.includes("held by process")) ??
    lines.find((line) => /held by process/.test(line));
  const holder =
    lock === undefined ? null : /lock (\S+?)[.:]? .*?held by process (\d+) \(([^)]*)\)/.exec(lock);
  if (holder !== null) return `${holder[3]} (process ${holder[2]}) holds ${holder[1]}`;
  const scripts = lines.filter((line) => /installed .* script subprocess returned error/.test(line));
  const words = [...new Set([...errors, ...scripts])];
  return words.slice(0, 6).join("; ").slice(0, 1_500);
}

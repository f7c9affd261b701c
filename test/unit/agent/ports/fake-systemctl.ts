/** A systemctl that keeps units in memory and prints as systemd 252 does (recorded on Debian 12). The text is the protocol, so it is kept. */
import type { Run } from "@muster/agent/ports/run";

export type FakeUnit = {
  active: string;
  file_state: string;
  reload: boolean;
  fragment: string;
  stale?: boolean;
};

export type FakeSystemctl = {
  readonly run: Run;
  /** By full name, such as `ssh.service`; change it at will. */
  readonly units: Map<string, FakeUnit>;
  /** Every command line but `show`. */
  readonly done: string[];
  /** How many times `show` was run. */
  shows: number;
};

export function fakeSystemctl(): FakeSystemctl {
  const fake: FakeSystemctl = {
    units: new Map(),
    done: [],
    shows: 0,
    run: async (file, args) => answer(fake, file, args),
  };
  return fake;
}

function answer(fake: FakeSystemctl, file: string, args: readonly string[]) {
  const ok = { code: 0, stdout: "", stderr: "" };
  if (args[0] === "show") {
    fake.shows += 1;
    const names = args.slice(args.indexOf("--") + 1);
    if (names.some((name) => name.includes("@.")))
      return {
        ...ok,
        code: 1,
        stderr: "Failed to get properties: Unit name getty@.service is missing the instance name.\n",
      };
    return { ...ok, stdout: names.map((name) => block(fake.units.get(name))).join("\n") };
  }
  const words = args.filter((arg) => arg !== "--no-ask-password");
  fake.done.push([file, ...words].join(" "));
  const [verb = "", name = ""] = words;
  if (verb === "daemon-reload") for (const unit of fake.units.values()) unit.stale = false;
  const unit = fake.units.get(name);
  if (unit === undefined) {
    return verb === "daemon-reload" || file !== "systemctl"
      ? ok
      : { ...ok, code: 5, stderr: `Failed to ${verb} ${name}: Unit ${name} not found.\n` };
  }
  if (verb === "start" || verb === "restart") unit.active = "active";
  if (verb === "stop") unit.active = "inactive";
  if (verb === "enable") unit.file_state = "enabled";
  if (verb === "disable") unit.file_state = "disabled";
  return ok;
}

function block(unit: FakeUnit | undefined): string {
  const since = unit?.active === "active" ? "Sat 2026-11-21 09:59:06 UTC" : "";
  return [
    "Result=success",
    `LoadState=${unit === undefined ? "not-found" : "loaded"}`,
    `ActiveState=${unit?.active ?? "inactive"}`,
    `FragmentPath=${unit?.fragment ?? ""}`,
    `UnitFileState=${unit?.file_state ?? ""}`,
    `ActiveEnterTimestamp=${since}`,
    `CanReload=${unit?.reload === true ? "yes" : "no"}`,
    `NeedDaemonReload=${unit?.stale === true ? "yes" : "no"}`,
    "",
  ].join("\n");
}

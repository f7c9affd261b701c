/**
 * Accounts of the host: read from passwd(5), group(5) and shadow(5) below the prefix, changed by useradd(8), usermod(8) and userdel(8), which
 * lock those files against others and keep them consistent.
 */
import { FleetError } from "@muster/protocol/errors";
import type { Files } from "./files.ts";
import type { Run } from "./run.ts";

export type UserFacts = {
  readonly uid: number;
  /** Name of its own group. */
  readonly group: string;
  readonly home: string;
  readonly shell: string;
  readonly comment: string;
  /** Supplementary groups, sorted. */
  readonly groups: readonly string[];
  /** No password opens it. */
  readonly locked: boolean;
};

export type UsersFacts = {
  readonly users: ReadonlyMap<string, UserFacts>;
  readonly groups: ReadonlySet<string>;
};

export type Users = {
  facts(): Promise<UsersFacts>;
  /** Errors: COMMAND_FAILED with the program's words. */
  change(
    program: "useradd" | "usermod" | "userdel",
    args: readonly string[],
    signal: AbortSignal,
  ): Promise<void>;
};

export const PASSWD = "/etc/passwd";
export const GROUP = "/etc/group";
export const SHADOW = "/etc/shadow";
const BYTES = 16 * 1024 * 1024;
const LIMIT_MS = 30_000;

export function createUsers(files: Files, run: Run): Users {
  const lines = async (path: string) => {
    const text = (await files.read(path, BYTES))?.toString("utf8") ?? "";
    return text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(":"));
  };
  let reading: Promise<UsersFacts> | null = null;

  const read = async (): Promise<UsersFacts> => {
    const [passwd, group, shadow] = await Promise.all([lines(PASSWD), lines(GROUP), lines(SHADOW)]);
    const own = new Map(group.map(([name = "", , gid = ""]) => [gid, name]));
    const passwords = new Map(shadow.map(([name = "", password = ""]) => [name, password]));
    const member_of = new Map<string, string[]>();
    for (const [name = "", , , members = ""] of group)
      for (const member of members.split(",").filter(Boolean))
        member_of.set(member, [...(member_of.get(member) ?? []), name]);
    const users = new Map<string, UserFacts>();
    for (const [name = "", , uid = "", gid = "", comment = "", home = "", shell = ""] of passwd) {
      if (users.has(name) || !/^\d+$/.test(uid)) continue;
      users.set(name, {
        uid: Number(uid),
        group: own.get(gid) ?? gid,
        home,
        shell,
        comment: comment.split(",")[0] ?? "",
        groups: (member_of.get(name) ?? []).sort(),
        locked: /^[!*]/.test(passwords.get(name) ?? "!"),
      });
    }
    return { users, groups: new Set(own.values()) };
  };

  return {
    facts() {
      // All accounts of a round are one reading.
      reading ??= read().finally(() => {
        reading = null;
      });
      return reading;
    },
    async change(program, args, signal) {
      const root = files.real("");
      const below = root === "" ? [] : ["--prefix", root];
      const result = await run(`/usr/sbin/${program}`, [...below, ...args], { timeout_ms: LIMIT_MS }, signal);
      if (result.code === 0) return;
      const words = (result.stderr.trim() || `code ${result.code}`).slice(0, 1_000);
      throw new FleetError("COMMAND_FAILED", words.startsWith(program) ? words : `${program}: ${words}`);
    },
  };
}

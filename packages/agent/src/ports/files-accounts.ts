/**
 * Users and groups by name, from /etc/passwd and /etc/group below the prefix (passwd(5), group(5)): the host's own files, so that an agent
 * below a prefix has its own accounts. Accounts that only a directory service knows are not seen. Small files that every program of the host reads: nobody waits
 * for a thread.
 */
import { readFileSync, statSync } from "node:fs";
import { FleetError } from "@muster/protocol/errors";
import { sharedInTurn } from "./turn.ts";

export type Accounts = {
  /** Errors: FAILED for a name that the file does not have. */
  uid(name: string): number;
  gid(name: string): number;
  /** The name, or the number as text when nobody has it. */
  userName(uid: number): string;
  groupName(gid: number): string;
};

type Table = {
  readonly stamp: string;
  readonly ids: Map<string, number>;
  readonly names: Map<number, string>;
};

const [USERS, GROUPS] = ["/etc/passwd", "/etc/group"];

/** Gives the accounts as they are now. Both files are read when first needed, and again when they changed. Errors: FAILED when one cannot be read. */
export function createAccounts(prefix: string): () => Accounts {
  const tables = new Map<string, Table>();
  let known: { readonly users: Table; readonly groups: Table; readonly accounts: Accounts } | null = null;

  const table = (path: string): Table => {
    const real = prefix + path;
    const stamp = stampOf(real);
    const before = tables.get(path);
    if (before?.stamp === stamp) return before;
    const fresh = { stamp, ...tableIn(stamp === "" ? "" : readAll(real)) };
    tables.set(path, fresh);
    return fresh;
  };

  const now = sharedInTurn(() => {
    const [users, groups] = [table(USERS), table(GROUPS)];
    if (known?.users !== users || known.groups !== groups)
      known = { users, groups, accounts: accountsOf(users, groups) };
    return known.accounts;
  });
  return () => now("");
}

function accountsOf(users: Table, groups: Table): Accounts {
  const idIn = ({ ids }: Table, path: string, what: string, name: string): number => {
    const id = ids.get(name);
    if (id === undefined)
      throw new FleetError("FAILED", `there is no ${what} ${name} on this host (${path})`);
    return id;
  };
  return {
    uid: (name) => idIn(users, USERS, "user", name),
    gid: (name) => idIn(groups, GROUPS, "group", name),
    userName: (uid) => users.names.get(uid) ?? String(uid),
    groupName: (gid) => groups.names.get(gid) ?? String(gid),
  };
}

function tableIn(text: string): Pick<Table, "ids" | "names"> {
  const ids = new Map<string, number>();
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (!/^\d+$/.test(id)) continue;
    if (!ids.has(name)) ids.set(name, Number(id));
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  // The one account that exists everywhere, also below a prefix without these files.
  if (!ids.has("root")) ids.set("root", 0);
  if (!names.has(0)) names.set(0, "root");
  return { ids, names };
}

/** "" when there is none. */
const stampOf = (path: string) =>
  orFailed(path, () => {
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    return found === undefined ? "" : `${found.ino}:${found.mtimeNs}:${found.size}`;
  });

const readAll = (path: string) => orFailed(path, () => readFileSync(path, "utf8"));

function orFailed<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new FleetError("FAILED", `${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/**
 * Users and groups by name, from /etc/passwd and /etc/group below the prefix (passwd(5), group(5)): the host's own files, so that an agent
 * below a prefix has its own accounts. Accounts that only a directory service knows are not seen.
 */
import { readFile, stat } from "node:fs/promises";
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

/** Gives the accounts as they are now. Both files are read when first needed, and again when they changed. */
export function createAccounts(prefix: string): () => Promise<Accounts> {
  const tables = new Map<string, Table>();

  const table = sharedInTurn(async (path: string): Promise<Table> => {
    const stamp = await stampOf(prefix + path);
    const known = tables.get(path);
    if (known?.stamp === stamp) return known;
    const read = stamp === "" ? "" : await readFile(prefix + path, "utf8");
    const ids = new Map<string, number>();
    const names = new Map<number, string>();
    for (const line of read.split("\n")) {
      const [name = "", , id = ""] = line.split(":");
      if (!/^\d+$/.test(id)) continue;
      if (!ids.has(name)) ids.set(name, Number(id));
      if (!names.has(Number(id))) names.set(Number(id), name);
    }
    // The one account that exists everywhere, also below a prefix without these files.
    if (!ids.has("root")) ids.set("root", 0);
    if (!names.has(0)) names.set(0, "root");
    const fresh = { stamp, ids, names };
    tables.set(path, fresh);
    return fresh;
  });

  return async () => {
    const [users, groups] = await Promise.all([table(USERS), table(GROUPS)]);
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
  };
}

async function stampOf(path: string): Promise<string> {
  try {
    const found = await stat(path, { bigint: true });
    return `${found.ino}:${found.mtimeNs}:${found.size}`;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw new FleetError("FAILED", `${path}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

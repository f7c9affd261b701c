/**
 * `ctl host replace`: the machine that has the name now is ended on every plane, then another gets a join string for the name, which says whose key it
 * takes it from. The pin in hosts.lock goes with the old key; the new one is pinned when something is first signed for it.
 */
import { resolve } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { writeText } from "../fleet/disk.ts";
import { savePins } from "../fleet/pins.ts";
import { joinString } from "../join/claims.ts";
import { hostLogins } from "../join/host-logins.ts";
import { durationOf, timeText } from "../output/words.ts";
import type { Context } from "../program/context.ts";
import { findTarget } from "../revoke/target.ts";
import { folderHere } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

const LIFE_MS = 3_600_000;

/** Resolves with the exit code. Errors: NOT_FOUND for a name that no host has, those of the log-in; what could not be revoked is told. */
export async function replaceHost(
  context: Context,
  name: string,
  options: { why?: string | undefined; life?: string | undefined; out?: string | undefined },
): Promise<number | undefined> {
  const { output, now } = context;
  const life_ms = durationOf("--for", options.life) ?? LIFE_MS;
  const { revokeByName } = await import("../commands/revoke.ts");
  const exit = await revokeByName(context, `host/${name}`, { why: options.why ?? "replaced", part: true });
  // Where the old machine is not ended the new one would be one of two.
  if (exit !== undefined) return exit;
  const session = await openSession(context, { rank: "admin" });
  const [connection, vault, folder] = await Promise.all([
    session.connect(),
    session.vault(),
    folderHere(context),
  ]);
  const pins = folder?.pins ?? new Map();
  const id = (await findTarget(`host/${name}`, { connection, vault: () => session.vault(), pins })).host?.id;
  if (id === undefined) throw new FleetError("NOT_FOUND", `no host is called ${name}`);
  const not_after = now() + life_ms;
  const wish = { name, groups: [], networks: [], not_after, replaces: id };
  const text = await joinString(session, await hostLogins(vault), wish, now());
  if (folder !== null && pins.has(name))
    await savePins(folder.root, new Map([...pins].filter(([pinned]) => pinned !== name)));
  if (options.out === undefined) output.line(text);
  output.json({ name, not_after, join: text });
  if (options.out !== undefined) await writeText(resolve(context.cwd, options.out), `${text}\n`);
  output.note(
    `the next machine: this string into /etc/muster/join (0600), until ${timeText(not_after)}; then ctl apply ${name}`,
  );
  return undefined;
}

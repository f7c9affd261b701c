/** `ctl rollback`: back to what was signed before, as a new generation. What is taken back stays away until the folder differs from it. */
import { FleetError } from "@muster/protocol/errors";
import type { OpenedManifest } from "@muster/protocol/manifest";
import { change } from "../apply/change.ts";
import { differing, rolledBack } from "../apply/desired.ts";
import { type Ground, loadWanted, type Wanted } from "../apply/prepare.ts";
import { refsTyped, type Scope, type Target } from "../apply/scope.ts";
import { signedBefore } from "../apply/signed.ts";
import { withNext } from "../output/error.ts";
import { listText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { requireFolder } from "../roster/roster.ts";
import { openSession, type Session } from "../session/session.ts";
import { withinOf } from "./apply.ts";

export const rollback = defineCommand({
  name: "rollback",
  args: "[selector]",
  options: {
    only: { flag: "--only <ref>", help: "only this KIND/NAME; may be repeated", many: true },
    message: { flag: "-m, --message <text>", help: "why; it stands in the history" },
    overwrite: { flag: "--overwrite", help: "replace what was edited by hand" },
    force: { flag: "--force", help: "a much smaller state is meant" },
    within: { flag: "--within <duration>", help: "how long a guard watches: 60s" },
  },
  example: `ctl rollback ixp1
ctl rollback core1 --only file//etc/motd     held there until the folder differs from what failed`,
  async run(context, { args, options }) {
    const within_ms = withinOf(options.within);
    const folder = await requireFolder(context);
    const session = await openSession(context, { rank: "ci" });
    const dialled = session.connect();
    dialled.catch(() => undefined);
    const wanted = await loadWanted(context, session, folder, args[0]);
    await dialled;
    context.output.begin(session.fleet, session.person);
    const found: Earlier = new Map();
    return change(context, session, folder, wanted, {
      message: options.message ?? "rollback",
      overwrite: options.overwrite,
      force: options.force,
      within_ms,
      question: (names) => `Roll back ${names}?`,
      scope: (ground) => scopeBefore(context, session, wanted, ground, options.only, found),
      nothing: "nothing to do: the servers are as they were before",
    });
  },
});

/** What was found in an earlier round: a host that refused this very rollback holds it as its newest, and must not go back from it. */
type Earlier = Map<string, Target["desired"]>;

/** Targets with the content that was signed before; hosts without one are named and left out. */
async function scopeBefore(
  context: Context,
  session: Session,
  wanted: Wanted,
  ground: Ground,
  typed: readonly string[],
  earlier: Earlier,
): Promise<Scope> {
  const { bus } = await session.connect();
  const { output } = context;
  const chosen = wanted.selected.flatMap((name) => {
    const id = ground.ids.get(name);
    return id === undefined ? [] : [{ name, id, last: ground.last.get(name) ?? null }];
  });
  const only = refsTyped(typed);
  const first: string[] = [];
  const targets = await Promise.all(
    chosen.map(async ({ name, id, last }): Promise<Target | null> => {
      const same = earlier.get(name);
      if (same !== undefined && same.content_hash === last?.manifest.content_hash)
        return { name, id, desired: same, last, changed: false };
      const before =
        last === null
          ? null
          : await signedBefore(bus, session.fleet, { name, id }, last, session.verifier, (old) =>
              changes(last, old, only),
            );
      if (last === null || before === null) {
        first.push(name);
        return null;
      }
      output.line(
        `${output.colour.bold(name)}  back to generation ${before.manifest.generation} by ${before.by}, ${timeText(before.signed_at_ms)}`,
      );
      const back = rolledBack(last.manifest, before.manifest.content, only);
      const desired = { ...back, held_back: [], outside: [] };
      earlier.set(name, desired);
      return { name, id, desired, last, changed: desired.content_hash !== last.manifest.content_hash };
    }),
  );
  const found = targets.filter((target) => target !== null);
  if (first.length > 0) {
    const what =
      only === null
        ? "nothing else was signed before"
        : `nothing else was signed before for ${[...only].join(", ")}`;
    if (found.length === 0)
      throw withNext(new FleetError("NOT_FOUND", `${listText(first)}: ${what}`), "ctl status");
    output.line(`${output.colour.amber(listText(first))}  ${what}`);
  }
  return {
    targets: found,
    not_enrolled: wanted.selected.filter((name) => !ground.ids.has(name)),
    pending: [],
  };
}

/** Whether going back to it changes something of what is asked for. */
function changes(last: OpenedManifest, old: OpenedManifest, only: ReadonlySet<string> | null): boolean {
  const refs = differing(last.manifest.content, old.manifest.content);
  return refs.some((ref) => only === null || only.has(ref));
}

/**
 * `ctl host rename`: one machine, its keys, and another name for them, at Vault, on record, on the host and in the folder. Each step finds done what was
 * done, so that the same line goes on after a break. The name that was stays taken, since telemetry, records and other people's notes are about it.
 */
import { callController, callOne } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { HostRecord } from "@muster/protocol/record";
import { LOCK_FILE, type Pins } from "../fleet/pins.ts";
import { placeText } from "../inventory/problem.ts";
import { renameLogins } from "../join/host-logins.ts";
import { countText, durationText, listText } from "../output/words.ts";
import { EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { folderHere } from "../roster/roster.ts";
import { type Connection, openSession } from "../session/session.ts";
import { type Names, planFolder, renameInFolder } from "./rename-folder.ts";

type Step = {
  readonly step: "vault" | "records" | "host" | "folder";
  readonly what: string;
  readonly changed: boolean;
  readonly took_ms: number;
  readonly error: FleetError | null;
};
type Done = { readonly what: string; readonly changed: boolean };

const SHOWN = 10;

/** Resolves with the exit code. Errors: USAGE, NOT_FOUND, NAME_TAKEN, CONFLICT, before anything was changed; later ones are told by step. */
export async function renameHost(context: Context, names: Names): Promise<number | undefined> {
  const { output } = context;
  const { from, to } = names;
  if (from === to) throw new FleetError("USAGE", `${from} is its name already`);
  const session = await openSession(context, { rank: "admin" });
  output.begin(session.fleet, session.person);
  const [connection, folder] = await Promise.all([session.connect(), folderHere(context)]);
  const host = await hostOf(connection, names, folder?.pins ?? new Map());
  if (folder !== null) await planFolder(folder.root, names);
  else output.note(`no fleet folder here: hosts.yml and ${LOCK_FILE} stay as they are`);
  // Silent now means unnamed for days: a host has to be there to be told.
  await callOne(connection, host.id, "ping", {});
  output.note(`${from} becomes ${to}: it keeps its keys and its state; ${from} stays taken`);
  if (!(await output.confirm(`Rename ${from} to ${to}?`))) return EXIT.failed;

  const steps: Step[] = [];
  const done = (name: Step["step"]) => steps.some(({ step, error }) => step === name && error === null);
  const run = async (step: Step["step"], work: () => Promise<Done>) => {
    const began = performance.now();
    const took_ms = () => Math.round(performance.now() - began);
    try {
      steps.push({ step, ...(await work()), took_ms: took_ms(), error: null });
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      steps.push({ step, what: error.message, changed: false, took_ms: took_ms(), error });
    }
  };
  await run("vault", async () => {
    const count = await renameLogins(await session.vault(), from, to);
    return {
      what: count === 0 ? "no log-in goes by the old name" : "its log-in goes by the new name",
      changed: count > 0,
    };
  });
  await run("records", async () => {
    const { renamed } = await callController(connection, "rename", {
      host: { name: host.from, id: host.id },
      to,
    });
    return { what: `it is ${to}, and ${from} stays taken`, changed: renamed };
  });
  let mentions: readonly string[] = [];
  if (done("records")) {
    await run("host", async () => {
      const { changed } = await callOne(connection, host.id, "rename", { name: to });
      return { what: "has certificates for the new name, and speaks under it", changed };
    });
    if (folder !== null)
      await run("folder", async () => {
        const renamed = await renameInFolder(folder.root, folder.pins, host.id, names);
        mentions = renamed.mentions.map(placeText);
        const what = renamed.changed.length === 0 ? "says so" : listText(renamed.changed);
        return { what, changed: renamed.changed.length > 0 };
      });
  }
  return tell(context, names, steps, mentions);
}

/** The host by its record, under whichever of the names that is by now, and held against the pin. */
async function hostOf(
  connection: Connection,
  { from, to }: Names,
  pins: Pins,
): Promise<{ readonly id: string; readonly from: string }> {
  const [old, next] = await Promise.all(
    [from, to].map((name) => callController(connection, "host", { name }).then(({ record }) => record)),
  );
  if (old == null) throw new FleetError("NOT_FOUND", `no host is called ${from}`);
  if (old.renamed != null && old.renamed.to !== to)
    throw new FleetError("NOT_FOUND", `${from} is called ${old.renamed.to} by now`);
  if (old.state === "retired") throw new FleetError("NOT_ALLOWED", `${from} is retired`);
  const taken = (record: HostRecord | null | undefined) => record != null && record.id !== old.id;
  const pinned = pins.get(from) ?? pins.get(to) ?? old.id;
  if (pinned !== old.id || taken(next) || (pins.get(to) ?? old.id) !== old.id)
    throw new FleetError(
      "NAME_TAKEN",
      `${taken(next) ? to : from} has another key than ${taken(next) ? from : LOCK_FILE} has`,
    );
  return { id: old.id, from };
}

function tell(
  context: Context,
  { from, to }: Names,
  steps: readonly Step[],
  mentions: readonly string[],
): number | undefined {
  const { output } = context;
  for (const { step, what, changed, took_ms, error } of steps) {
    const before = error === null && !changed ? " (was so before)" : "";
    const text = error === null ? `${what}${before}` : `${output.colour.red("NOT DONE")}: ${what}`;
    output.line(`${step.padEnd(12)}${text}    ${durationText(took_ms)}`);
  }
  if (mentions.length > 0) {
    const more = mentions.length > SHOWN ? `, and ${mentions.length - SHOWN} more` : "";
    const places = mentions.slice(0, SHOWN).join(" ");
    output.line(
      `look        ${from} still stands in ${countText(mentions.length, "place")}: ${places}${more}`,
    );
  }
  const failed = steps.filter(({ error }) => error !== null);
  const next =
    failed.length > 0 ? `ctl host rename ${from} ${to}    again: what is done stays done` : `ctl apply ${to}`;
  output.line(`${output.colour.bold("next")}        ${next}`);
  output.json({
    ...{ from, to, mentions },
    steps: steps.map(({ error, ...step }) => ({ ...step, error: error?.toReply() ?? null })),
  });
  if (failed.length === 0) return undefined;
  return failed.length < steps.length ? EXIT.partly : EXIT.failed;
}

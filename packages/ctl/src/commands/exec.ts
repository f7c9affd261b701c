/** `ctl exec`: a program on chosen hosts, as root there, in the person's name: told as an event and in each host's journal. Output as it comes. */
import { hostname, userInfo } from "node:os";
import { stderr, stdout } from "node:process";
import { callStreams } from "@muster/ports/stream-call";
import { FleetError } from "@muster/protocol/errors";
import { chosenHosts } from "../maintenance/host.ts";
import { lineBreaker } from "../maintenance/lines.ts";
import { countText, durationOf, listText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { openSession } from "../session/session.ts";

const LONGEST_MS = 3_600_000;
/** Of one host's output kept for scripts. */
const KEPT = 1024 * 1024;

export const exec = defineCommand({
  name: "exec",
  args: "<selector> <command...>",
  options: { longest: { flag: "--longest <duration>", help: "it is ended after this: 1h" } },
  example: `ctl exec ixp -- needrestart -b
ctl exec core1 -y -- sh -c 'df -h | tail -1'`,
  async run(context, { args, options }) {
    const [selector = "", ...command] = args;
    const longest_ms = durationOf("--longest", options.longest) ?? LONGEST_MS;
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const hosts = await chosenHosts(context, connection, selector);
    const { output } = context;
    output.begin(session.fleet, session.person);
    const names = new Map(hosts.map(({ name, id }) => [id, name]));
    const asked = `Run ${JSON.stringify(command.join(" "))} as root on ${listText([...names.values()])}?`;
    if (!(await output.confirm(asked))) return EXIT.failed;
    const kept = new Map([...names.keys()].map((id) => [id, { stdout: "", stderr: "", cut: false }]));
    const width = Math.max(...hosts.map(({ name }) => name.length));
    const scripted = output.form === "json" || output.form === "yaml";
    const printers = new Map(
      hosts.map(({ name, id }) => {
        const before = hosts.length === 1 ? "" : `${output.colour.bold(name.padEnd(width))}  `;
        const to = (out: { write(text: string): unknown }) =>
          lineBreaker((line) => out.write(`${before}${line}\n`));
        return [id, { stdout: to(stdout), stderr: to(stderr) }] as const;
      }),
    );
    const began = performance.now();
    const results = await callStreams(
      connection,
      [...names.keys()],
      "exec",
      { command: [...command], from: seat(), longest_ms },
      {
        signal: context.signal,
        on_chunk(id, { from, text }) {
          const own = kept.get(id);
          if (!scripted) return printers.get(id)?.[from].take(text);
          if (own === undefined) return;
          own.cut ||= own[from].length + text.length > KEPT;
          own[from] = (own[from] + text).slice(0, KEPT);
        },
        on_end(id) {
          printers.get(id)?.stdout.end();
          printers.get(id)?.stderr.end();
        },
      },
    );
    const seconds = ((performance.now() - began) / 1_000).toFixed(1);
    let good = 0;
    for (const [id, name] of names) {
      const end = results.answered.get(id);
      const error = results.failed.get(id);
      if (end?.code === 0) good += 1;
      const how =
        end !== undefined
          ? end.code === null
            ? `ended by ${end.ended_by}`
            : `exit ${end.code}`
          : error === undefined
            ? "SILENT      ctl status"
            : error.message;
      output.note(`${name}  ${end?.code === 0 ? output.colour.green(how) : output.colour.red(how)}`);
    }
    if (hosts.length > 1) output.note(`${good} of ${countText(hosts.length, "host")} in ${seconds} s`);
    output.json(
      Object.fromEntries(
        [...names].map(([id, name]) => [
          name,
          {
            ...(results.answered.get(id) ?? { code: null, ended_by: null }),
            ...kept.get(id),
            error: results.failed.get(id)?.toReply() ?? null,
            silent: results.silent.includes(id),
          },
        ]),
      ),
    );
    if (context.signal.aborted) return EXIT.interrupted;
    if (good === hosts.length) return EXIT.done;
    if (good > 0) return EXIT.partly;
    return results.silent.length === hosts.length ? EXIT.unreachable : EXIT.failed;
  },
});

/** Where the person sits, for the record; it is what this machine says of itself. */
function seat(): string {
  try {
    return `${userInfo().username}@${hostname()}`.slice(0, 128);
  } catch (cause) {
    // An account without a name.
    if (cause instanceof Error) return hostname().slice(0, 128);
    throw new FleetError("FAILED", "this machine has no name", { cause });
  }
}

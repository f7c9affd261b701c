/** `ctl logs`: lines of the journal, or of a container, of one host or many, the newest and what comes, as they are written. */
import { FleetError } from "@muster/protocol/errors";
import type { RpcRequest } from "@muster/protocol/rpc/index";
import { LOG_LINES_LIMIT, type LogLine, PRIORITIES, logs as row } from "@muster/protocol/rpc/logs";
import { numberText, readDuration } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { logLines } from "../report/log.ts";
import { askedExit, missingJson, streamHosts, tellMissing } from "../roster/ask.ts";

const LAST_DEFAULT = 100;
/** Held here to be put in order before they are printed. */
const SORTED_LIMIT = 200_000;

type Heard = { readonly host: string; readonly line: LogLine };

export const logs = defineCommand({
  name: "logs",
  args: "<selector> [source...]",
  options: {
    follow: { flag: "-f, --follow", help: "and go on, until ^C" },
    since: { flag: "--since <duration>", help: "not older than this: 10m" },
    grep: {
      flag: "--grep <regex>",
      help: "only lines that it fits: of the journal PCRE, judged on the host; of a container judged here",
    },
    last: {
      flag: "-n, --last <n>",
      help: `how many of the past at most, of each host (default ${LAST_DEFAULT}; with --since ${LOG_LINES_LIMIT})`,
    },
    priority: { flag: "--priority <word>", help: `as urgent as this or more: ${PRIORITIES.join(", ")}` },
  },
  example: `ctl logs ixp1 bird --since 1h
ctl logs ixp -f --priority warning      several hosts, each line with its host
ctl logs core1 ssh sudo --grep 'Failed|Invalid'
ctl logs core1 container/prometheus -f`,
  async run(context, { args, options }) {
    const { output } = context;
    const { request, fits } = wishOf(context.now(), args.slice(1), options);
    const kept: Heard[] = [];
    let several = false;
    let width = 0;
    const print = ({ host, line }: Heard) => {
      for (const text of logLines(several ? host : null, width, line, output.colour)) output.line(text);
    };
    const asked = await streamHosts(context, args[0] ?? "", "logs", request, {
      on_chosen: (names) => {
        several = names.length > 1;
        width = Math.max(0, ...names.map((name) => name.length));
        if (!request.follow && names.length * request.last > SORTED_LIMIT)
          throw new FleetError(
            "USAGE",
            `${numberText(request.last)} lines of ${names.length} hosts are too many to put in order: fewer with -n, or fewer hosts`,
          );
      },
      on_chunk: (host, line) => {
        if (!fits(line.text)) return;
        if (!request.follow) kept.push({ host, line });
        else {
          output.json({ host, ...line });
          print({ host, line });
        }
      },
      on_end: (name, outcome) => {
        // While others go on, who ended is told at once.
        if (request.follow && outcome instanceof FleetError && !context.signal.aborted)
          output.note(`${output.colour.red(name)}  ended: ${outcome.message}`);
      },
    });
    if (request.follow && context.signal.aborted) return undefined;
    for (const each of kept.sort((one, other) => one.line.at - other.line.at)) print(each);
    if (kept.length === 0 && !request.follow && asked.answered.length > 0) output.line("no lines");
    tellMissing(context, asked);
    if (!request.follow)
      output.json({ lines: kept.map(({ host, line }) => ({ host, ...line })), ...missingJson(asked) });
    return askedExit(asked);
  },
});

type Typed = {
  readonly follow: boolean;
  readonly since: string | undefined;
  readonly grep: string | undefined;
  readonly last: string | undefined;
  readonly priority: string | undefined;
};

type Wish = {
  readonly request: RpcRequest<"logs">;
  /** What is judged here and not on the host. */
  readonly fits: (text: string) => boolean;
};

function wishOf(now_ms: number, sources: readonly string[], typed: Typed): Wish {
  const containers = sources.flatMap((each) => (each.startsWith("container/") ? [each.slice(10)] : []));
  const [container = null] = containers;
  if (container !== null && sources.length > 1)
    throw usage(`${sources.join(" ")}: one container, or any units of the journal`);
  if (container !== null && typed.priority !== undefined)
    throw usage("--priority: what a container says has none");
  const back_ms = typed.since === undefined ? null : readDuration(typed.since);
  if (back_ms === undefined) throw usage(`--since ${typed.since}: must be like 10m or 2h`);
  const last =
    typed.last === undefined ? (back_ms === null ? LAST_DEFAULT : LOG_LINES_LIMIT) : Number(typed.last);
  if (!Number.isInteger(last) || last < 0 || last > LOG_LINES_LIMIT)
    throw usage(`--last ${typed.last}: must be a number from 0 to ${LOG_LINES_LIMIT}`);
  const priority = PRIORITIES.find((each) => each === typed.priority) ?? null;
  if (typed.priority !== undefined && priority === null)
    throw usage(`--priority ${typed.priority}: must be one of ${PRIORITIES.join(", ")}`);
  const read = row.request.safeParse({
    units: container === null ? sources : [],
    container,
    follow: typed.follow,
    since: back_ms === null ? null : now_ms - back_ms,
    last,
    grep: container === null ? (typed.grep ?? null) : null,
    priority,
  });
  if (!read.success) {
    const [issue] = read.error.issues;
    const [field, at] = issue?.path ?? [];
    const what =
      field === "units"
        ? (sources[Number(at ?? 0)] ?? "")
        : field === "container"
          ? sources[0]
          : `--${String(field)}`;
    throw usage(`${what}: ${issue?.message}`);
  }
  const pattern = container === null || typed.grep === undefined ? null : patternOf(typed.grep);
  return { request: read.data, fits: (text) => pattern === null || pattern.test(text) };
}

function patternOf(typed: string): RegExp {
  try {
    return new RegExp(typed, "u");
  } catch (error) {
    throw usage(`--grep ${typed}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const usage = (detail: string) => new FleetError("USAGE", detail);

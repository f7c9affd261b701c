/**
 * What it costs to know a router's sessions: reading BIRD's `show protocols all` of a thousand of them, alone and over a socket, beside Debian's
 * bird_exporter on the same socket. The BIRD is a recording of a real one (2.17.6) with its session a thousand times, so that both read the same bytes.
 *
 *   node --import tsx bench/bgp.ts [sessions]        1000 without it
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { argv, cpuUsage, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { birdFraming } from "@muster/agent/bird/framing";
import { parseSessions } from "@muster/agent/bird/protocols";
import { type Child, freePort, startChild } from "../test/kit/child.ts";
import { chunksOf, fakeBird, transcript } from "../test/kit/fake-bird.ts";
import { begin, figure, line, machine, told } from "./machine.ts";

const TARGET_MS = 20;
const RUNS = 25;
const WARM = 15;
const CHUNK_BYTES = 64 * 1024;
const ROUTER = "routers/2.17.6";
const CHILD = fileURLToPath(new URL("bgp-surveys.ts", import.meta.url));
const EXPORTER = "prometheus-bird-exporter";
const TICK_MS = 10;

/** Plain JavaScript without declarations. */
const plain = async <T>(path: string): Promise<T> =>
  import(new URL(`../deploy/${path}`, import.meta.url).href);

export async function main(count: number): Promise<void> {
  const { AGENT_V8_FLAGS } = await plain<{ AGENT_V8_FLAGS: string[] }>("agent/v8-flags.mjs");
  const { which } = await plain<{ which(name: string): string | undefined }>("lab/command.mjs");
  const exporter = which(EXPORTER);
  begin(
    "BGP sessions",
    `${count} established sessions of two channels, 2.4 kB each; milliseconds of processor time unless told`,
    machine(exporter === undefined ? {} : { [exporter]: ["-version"] }),
  );
  const bytes = Buffer.from(protocols(count));
  const parse = () => {
    const framing = birdFraming(64 * 2 ** 20);
    for (const chunk of chunksOf(CHUNK_BYTES)(bytes))
      for (const event of framing.push(chunk))
        if (event.kind === "reply" && parseSessions(event.reply, null).length !== count)
          throw new Error("not all sessions were read");
  };
  for (let at = 0; at < WARM; at += 1) parse();
  const parsing = figure(Array.from({ length: RUNS }, () => processorMs(parse)));
  line("reading the reply", told(parsing, "ms"), {
    target: `≤ ${TARGET_MS} ms for 1,000`,
    met: parsing.median <= (TARGET_MS * count) / 1_000,
  });

  const fake = fakeBird({ greeting: transcript(ROUTER, "greeting"), chunking: chunksOf(CHUNK_BYTES) });
  for (const [command, file] of [
    ["restrict", "restrict"],
    ["show status", "show-status"],
    ["show memory", "show-memory"],
    ["configure status", "status-confirmed"],
  ] as const)
    fake.answers.set(command, transcript(ROUTER, file));
  fake.answers.set("show protocols all", bytes);
  await fake.start();
  try {
    const own = async (flags: readonly string[]) => {
      const args = [...flags, "--import", "tsx", CHILD, fake.socketPath, String(RUNS)];
      const { stdout } = await promisify(execFile)(execPath, args);
      const { costs, rss_mib }: { costs: number[]; rss_mib: number } = JSON.parse(stdout);
      return `${told(figure(costs.slice(5)), "ms")}, ${rss_mib.toFixed(0)} MiB with the compiler of this measurement`;
    };
    line("Muster, a survey over the socket", await own([]));
    line("the same without V8's compilers, as agents run", await own(AGENT_V8_FLAGS));
    if (exporter === undefined)
      line(
        "bird_exporter, a scrape",
        `not measured: no ${EXPORTER} (Debian: apt-get download it and dpkg -x)`,
      );
    else line("bird_exporter, a scrape", await scrapes(exporter, fake.socketPath, count));
  } finally {
    await fake.dispose();
  }
}

/** The recorded reply with its established session so many times, and nothing else. */
function protocols(count: number): string {
  const text = transcript(ROUTER, "show-protocols-all");
  const begin = text.indexOf("1002-upstream");
  const block = text.slice(begin, text.indexOf("1002-a_session"));
  const head = text.slice(0, text.indexOf("1002-"));
  return `${head}${Array.from({ length: count }, (_, at) => block.replace("upstream", `peer${at}`)).join("")}0000 \n`;
}

function processorMs(work: () => void): number {
  const before = cpuUsage();
  work();
  const used = cpuUsage(before);
  return (used.user + used.system) / 1_000;
}

async function scrapes(exporter: string, socketPath: string, count: number): Promise<string> {
  const port = await freePort();
  const child: Child = startChild(exporter, [
    ...["-bird.v2", "-bird.socket", socketPath, "-format.new"],
    ...["-web.listen-address", `127.0.0.1:${port}`, "-proto.ospf=false", "-proto.bfd=false"],
  ]);
  const scrape = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const up = text.match(/^bird_protocol_up\{/gm)?.length ?? 0;
    if (up < count) throw new Error(`${up} of ${count} sessions in its answer:\n${text.slice(0, 500)}`);
  };
  try {
    await child.until(async () => {
      try {
        return (await fetch(`http://127.0.0.1:${port}/`)).ok;
      } catch {
        // Not listening yet; `until` ends with its output.
        return false;
      }
    });
    const costs: number[] = [];
    for (let at = 0; at < RUNS; at += 1) {
      const before = usage(child.pid);
      await scrape();
      costs.push(usage(child.pid).cpu_ms - before.cpu_ms);
    }
    return `${told(figure(costs.slice(5)), "ms")}, ${usage(child.pid).rss_mib.toFixed(0)} MiB`;
  } finally {
    await child.stop();
  }
}

/** Of a process, so far and now. */
export function usage(pid: number): { cpu_ms: number; rss_mib: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return { cpu_ms: (Number(stat[11]) + Number(stat[12])) * TICK_MS, rss_mib: Number(rss) / 1_024 };
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(Number(argv[2] ?? 1_000));

/**
 * What must work after a change if it worked before it, whatever was changed: a new connection to the broker (an old one can outlive the
 * route it came by), the default routes, sshd's port.
 */
import { readFile } from "node:fs/promises";
import { createConnection } from "node:net";

/** What worked; plain data. */
export type ProbeResults = {
  readonly bus: boolean;
  readonly route4: boolean;
  readonly route6: boolean;
  readonly ssh: boolean;
};

/** `ask` says whether a new bus connection works; null where there never was one. */
export type ProbeOptions = {
  readonly ssh_port: number;
  readonly bus: (signal: AbortSignal) => Promise<boolean>;
};

const CONNECT_LIMIT_MS = 2_000;

/** Takes all probes. `cheap` leaves the bus out: it is asked once, when the rest is good. */
export async function probe(
  options: ProbeOptions,
  baseline: ProbeResults | null,
  cheap: boolean,
  signal: AbortSignal,
): Promise<ProbeResults> {
  const wanted = (name: keyof ProbeResults) => baseline === null || baseline[name];
  const [bus, route4, route6, ssh] = await Promise.all([
    cheap ? true : wanted("bus") && options.bus(signal),
    wanted("route4") && hasDefaultRoute4(),
    wanted("route6") && hasDefaultRoute6(),
    wanted("ssh") && sshAnswers(options.ssh_port),
  ]);
  return { bus, route4, route6, ssh };
}

/** Sentences about what worked before and does not now. */
export function lost(before: ProbeResults, now: ProbeResults): string[] {
  const words: Record<keyof ProbeResults, string> = {
    bus: "no new connection to the broker",
    route4: "the IPv4 default route is gone",
    route6: "the IPv6 default route is gone",
    ssh: "sshd does not answer",
  };
  return (Object.keys(words) as (keyof ProbeResults)[])
    .filter((name) => before[name] && !now[name])
    .map((name) => words[name]);
}

/** For the plan: what is watched, in words. */
export const watched = (before: ProbeResults): string[] => [
  ...(before.ssh ? ["ssh"] : []),
  ...(before.route4 || before.route6 ? ["the default route"] : []),
  ...(before.bus ? ["a new bus connection"] : []),
];

async function lines(file: string): Promise<string[]> {
  try {
    return (await readFile(file, "utf8")).split("\n");
  } catch {
    // No such protocol in this kernel: no route by it, before and after alike.
    return [];
  }
}

/** proc(5): `Iface Destination Gateway Flags … Mask`, hexadecimal; flag 1 = up. */
async function hasDefaultRoute4(): Promise<boolean> {
  return (await lines("/proc/net/route")).slice(1).some((line) => {
    const [, destination, , flags, , , , mask] = line.split(/\s+/);
    return destination === "00000000" && mask === "00000000" && (Number.parseInt(flags ?? "0", 16) & 1) === 1;
  });
}

/** Destination and prefix length first; the kernel's own reject route on `lo` is none. */
async function hasDefaultRoute6(): Promise<boolean> {
  return (await lines("/proc/net/ipv6_route")).some((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[0] === "0".repeat(32) && fields[1] === "00" && fields.at(-1) !== "lo";
  });
}

/** RFC 4253 §4.2: the server says `SSH-…` first. */
async function sshAnswers(port: number): Promise<boolean> {
  const answers = await Promise.all(["127.0.0.1", "::1"].map((host) => banner(host, port)));
  return answers.some((text) => text.startsWith("SSH-"));
}

function banner(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const end = (text: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    const timer = setTimeout(() => end(""), CONNECT_LIMIT_MS);
    socket.once("data", (data) => end(data.toString("latin1", 0, 32)));
    socket.once("error", () => end(""));
    socket.once("close", () => end(""));
  });
}

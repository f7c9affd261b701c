/**
 * A real journal of its own: systemd-journald in a namespace (systemd-journald.service(8)), without systemd around it. What is written is of a unit by the field by which root says so
 * (OBJECT_SYSTEMD_UNIT, systemd.journal-fields(7)).
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { type Child, startChild } from "./child.ts";

const JOURNALD = "/lib/systemd/systemd-journald";

/** Why there can be none here; null when there can. */
export function noJournal(): string | null {
  if (process.getuid?.() !== 0) return "journald wants root";
  if (!existsSync(JOURNALD)) return `there is no ${JOURNALD}`;
  return existsSync("/etc/machine-id") && readFileSync("/etc/machine-id", "utf8").trim() !== ""
    ? null
    : "this machine has no id (/etc/machine-id), and journald wants one";
}

export type Entry = { readonly unit: string; readonly priority: number; readonly text: string };
export type Journal = {
  /** For `journalctl --namespace`. */
  readonly namespace: string;
  /** Resolves when the journal has them: their time is when it takes them. */
  write(entries: readonly Entry[]): Promise<void>;
  stop(): Promise<void>;
};

/** Sends each of the texts that a 0 parts to a socket of datagrams, which Node has not. perl is a part of every Debian. */
const SEND = `use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!; connect($s, sockaddr_un($ARGV[0])) or die $!;
$/ = "\\0"; while (<STDIN>) { chomp; defined(send($s, $_, 0)) or die $! }`;

export async function startJournal(): Promise<Journal> {
  const namespace = `muster-test-${process.pid}`;
  const socket = `/run/systemd/journal.${namespace}/socket`;
  const child: Child = startChild(JOURNALD, [namespace]);
  await child.until(async () => existsSync(socket));
  const newest = (): string =>
    execFileSync("journalctl", [`--namespace=${namespace}`, "--quiet", "--lines=1", "--output=cat"], {
      encoding: "utf8",
    }).trimEnd();
  return {
    namespace,
    async write(entries) {
      const texts = entries.map(
        ({ unit, priority, text }) =>
          `MESSAGE=${text}\nPRIORITY=${priority}\nSYSLOG_IDENTIFIER=test\nOBJECT_SYSTEMD_UNIT=${unit}\n`,
      );
      const sender = spawn("perl", ["-e", SEND, socket], { stdio: ["pipe", "inherit", "inherit"] });
      sender.stdin.end(texts.map((text) => `${text}\0`).join(""));
      const [code] = await once(sender, "close");
      if (code !== 0) throw new Error(`the journal took nothing: perl ended with ${code}\n${child.output()}`);
      await child.until(async () => newest() === entries.at(-1)?.text);
    },
    async stop() {
      await child.stop();
      rmSync(`/run/systemd/journal.${namespace}`, { recursive: true, force: true });
      for (const root of ["/run/log/journal", "/var/log/journal"])
        if (existsSync(root))
          execFileSync("find", [
            root,
            "-maxdepth",
            "1",
            "-name",
            `*.${namespace}`,
            "-exec",
            "rm",
            "-rf",
            "{}",
            "+",
          ]);
    },
  };
}

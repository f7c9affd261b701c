/** A real rsyslogd on loopback that writes what it gets into a file: over UDP, over TLS, or on a unix stream socket. The system's, or Debian's packages unpacked. */
import { execFile } from "node:child_process";
import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Child, freePort, startChild } from "./child.ts";
import { loopbackTls } from "./tls.ts";

const run = promisify(execFile);
const PACKAGES = ["rsyslog", "rsyslog-gnutls", "libestr0", "libfastjson4", "liblognorm5"];

export type Rsyslog = {
  readonly port: number;
  readonly ca_file: string;
  /** Messages as they were received, oldest first. */
  received(): Promise<string[]>;
  halt(): Promise<void>;
  start(): Promise<void>;
};

/** A directory with the packages unpacked; made once. Null, with the reason, where they cannot be had. */
async function unpacked(cache: string): Promise<{ root: string } | { why: string }> {
  const root = join(cache, "root");
  if (
    await access(join(root, "usr/sbin/rsyslogd")).then(
      () => true,
      () => false,
    )
  )
    return { root };
  try {
    await mkdir(root, { recursive: true });
    await run("apt-get", ["download", ...PACKAGES], { cwd: cache });
    for (const name of await readdir(cache))
      if (name.endsWith(".deb")) await run("dpkg", ["-x", join(cache, name), root]);
    return { root };
  } catch (error) {
    return {
      why: `rsyslog cannot be had from Debian: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** `cache` is kept from run to run; everything else is below `directory`. */
export async function startRsyslog(
  transport: "udp" | "tls",
  directory: string,
  cache: string,
): Promise<Rsyslog | { why: string }> {
  const had = await unpacked(cache);
  if ("why" in had) return had;
  const libraries = join(had.root, "usr/lib");
  const [triplet = ""] = (await readdir(libraries)).filter((name) => name.includes("linux"));
  const lib = join(libraries, triplet);
  await mkdir(directory, { recursive: true });
  const port = await freePort();
  const tls = await loopbackTls(directory);
  const out = join(directory, "received");
  const input =
    transport === "udp"
      ? ['module(load="imudp")', `input(type="imudp" address="127.0.0.1" port="${port}")`]
      : [
          `global(defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="${tls.ca_file}" defaultNetstreamDriverCertFile="${tls.certificate_file}" defaultNetstreamDriverKeyFile="${tls.key_file}")`,
          'module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")',
          `input(type="imtcp" port="${port}")`,
        ];
  const config = join(directory, "rsyslog.conf");
  const lines = [
    `global(workDirectory="${directory}" maxMessageSize="64k")`,
    ...input,
    // What the server made of it, so that a form that it cannot read shows.
    'template(name="all" type="string" string="%pri% %timestamp:::date-rfc3339% %hostname% %app-name% %msgid% %msg%\\n")',
    `action(type="omfile" file="${out}" template="all")`,
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  let child: Child | null = null;
  const server: Rsyslog = {
    port,
    ca_file: tls.ca_file,
    received: async () =>
      (await readFile(out, "utf8").catch(() => "")).split("\n").filter((line) => line.includes("muster")),
    async halt() {
      await child?.stop();
      child = null;
    },
    async start() {
      const args = ["-n", "-f", config, "-i", join(directory, "pid"), "-M", join(lib, "rsyslog")];
      const started = startChild(join(had.root, "usr/sbin/rsyslogd"), args, { LD_LIBRARY_PATH: lib });
      child = started;
      // Both kinds show in the kernel's tables once they listen.
      const table = transport === "udp" ? "/proc/net/udp" : "/proc/net/tcp";
      const hex = port.toString(16).toUpperCase().padStart(4, "0");
      await started.until(async () => (await readFile(table, "utf8")).includes(`:${hex} `));
    },
  };
  await server.start();
  return server;
}

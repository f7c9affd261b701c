/** Who is connected to the brokers, and closing a connection: the monitoring requests of account SYS (`server/events.go`, `server/monitor.go` of nats-server 2.15). */
import type { Bus } from "@muster/ports/bus";
import { FleetError, parseJson } from "@muster/protocol/errors";
import { type Claims, readJwt } from "@muster/protocol/jwt";
import { z } from "zod";

const TIMEOUT_MS = 5_000;
const PAGE = 1_000;
/** More servers than this make no cluster of ours. */
const SERVERS = 64;

type System = Pick<Bus, "request" | "collect">;

/** A client's connection. `key` is its public nkey, `scope` the signing key that its JWT names, `ends` when that JWT ends, milliseconds since 1970. */
export type Connected = {
  readonly server: string;
  readonly cid: number;
  readonly key: string;
  readonly name: string;
  readonly scope: string;
  readonly ends: number;
};

const Pong = z.object({
  server: z.object({ id: z.string() }),
  statsz: z.object({ active_servers: z.int().optional() }),
});
const Connections = z.object({
  data: z.object({
    total: z.int(),
    connections: z.array(
      z.object({
        cid: z.int(),
        authorized_user: z.string().default(""),
        issuer_key: z.string().default(""),
        jwt: z.string().default(""),
      }),
    ),
  }),
});

/** Ids of all servers of the cluster. Errors: TIMEOUT when one that is counted does not answer. */
async function servers(system: System): Promise<string[]> {
  const ids = new Set<string>();
  await system.collect("$SYS.REQ.SERVER.PING", new Uint8Array(), { timeout_ms: TIMEOUT_MS }, (message) => {
    const { server, statsz } = parseJson(Pong, message.body, "a broker's answer to a ping");
    ids.add(server.id);
    return ids.size >= Math.min(statsz.active_servers ?? 1, SERVERS);
  });
  return [...ids];
}

/** Every connection of the account for which `wanted` is true. Errors: BUS_DENIED for an admin of a fleet whose accounts are older than this. */
export async function connections(
  system: System,
  account: string,
  wanted: (one: Connected) => boolean,
): Promise<Connected[]> {
  const found = await Promise.all(
    (await servers(system)).map(async (server) => {
      const here: Connected[] = [];
      for (let offset = 0; ; offset += PAGE) {
        const body = Buffer.from(JSON.stringify({ auth: true, acc: account, offset, limit: PAGE }));
        const subject = `$SYS.REQ.SERVER.${server}.CONNZ`;
        const answer = await system.request(subject, body, { timeout_ms: TIMEOUT_MS });
        const { data } = parseJson(Connections, answer.body, "a broker's list of connections");
        here.push(...data.connections.map((one) => connected(server, one)));
        if (data.connections.length === 0 || offset + data.connections.length >= data.total) return here;
      }
    }),
  );
  return found.flat().filter(wanted);
}

/** What the JWT says, which the broker has checked; one that cannot be read, or that says no end, may live for ever. */
function connected(
  server: string,
  one: z.infer<typeof Connections>["data"]["connections"][number],
): Connected {
  const { cid, authorized_user: key, issuer_key: scope, jwt } = one;
  const { name = "", exp = Number.POSITIVE_INFINITY } = claimsOf(jwt) ?? {};
  return { server, cid, key, name, scope, ends: exp * 1_000 };
}

function claimsOf(jwt: string): Claims | null {
  try {
    return readJwt(jwt);
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    return null;
  }
}

/** Closes one connection, whatever its rights. Its client may dial again. */
export async function kick(system: System, one: Connected): Promise<void> {
  const body = Buffer.from(JSON.stringify({ cid: one.cid }));
  await system.request(`$SYS.REQ.SERVER.${one.server}.KICK`, body, { timeout_ms: TIMEOUT_MS });
}

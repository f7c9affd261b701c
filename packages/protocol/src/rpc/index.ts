/** The table of RPC methods that agents answer on `rpc.<id>.<method>`; one dispatcher enforces its authority. */
import { z } from "zod";
import { Json } from "../json.ts";
import { audit } from "./audit.ts";
import { bgp } from "./bgp.ts";
import { birdc } from "./birdc.ts";
import { checks } from "./checks.ts";
import { exec } from "./exec.ts";
import { facts } from "./facts.ts";
import { Filter } from "./filter.ts";
import { health } from "./health.ts";
import { images } from "./images.ts";
import { joined } from "./joined.ts";
import { login } from "./login.ts";
import { logs } from "./logs.ts";
import { manifest } from "./manifest.ts";
import { next } from "./next.ts";
import { ping } from "./ping.ts";
import { plan } from "./plan.ts";
import { prune } from "./prune.ts";
import { reboot } from "./reboot.ts";
import { reconcile } from "./reconcile.ts";
import { rename } from "./rename.ts";
import { returnTo } from "./return.ts";
import { status } from "./status.ts";
import type { StreamedMethod } from "./streamed.ts";
import { throwSwitch } from "./switch.ts";

export const RPC = {
  ping,
  facts,
  health,
  bgp,
  checks,
  status,
  plan,
  prune,
  manifest,
  images,
  reconcile,
  return: returnTo,
  switch: throwSwitch,
  logs,
  next,
  birdc,
  exec,
  reboot,
  login,
  joined,
  rename,
  audit,
} as const;
export type RpcMethod = keyof typeof RPC;
export type RpcRequest<M extends RpcMethod> = z.output<(typeof RPC)[M]["request"]>;
export type RpcReply<M extends RpcMethod> = z.output<(typeof RPC)[M]["reply"]>;

/** Methods that open a stream; `@muster/ports/stream-call` reads it to its end. */
export type StreamMethod = {
  [M in RpcMethod]: (typeof RPC)[M] extends StreamedMethod ? M : never;
}[RpcMethod];
export type StreamChunk<M extends StreamMethod> = z.output<(typeof RPC)[M]["chunk"]>;
export type StreamEnd<M extends StreamMethod> = z.output<(typeof RPC)[M]["end"]>;

/** The body of every request. */
export const RpcBody = z.strictObject({
  v: z.literal(1),
  filter: Filter.optional().describe("Only on rpc.all."),
  args: Json,
});
export type RpcBody = z.infer<typeof RpcBody>;

export type { PathProbe } from "./bgp.ts";
export { BIRDC_REPLY_BYTES } from "./birdc.ts";
export { EXEC_CHUNK_LIMIT } from "./exec.ts";
export type { Facts } from "./facts.ts";
export { Filter, fits } from "./filter.ts";
export type { LogLine, Priority } from "./logs.ts";
export { LOG_LINES_LIMIT, LOG_TEXT_LIMIT, PRIORITIES } from "./logs.ts";
export { type Method, Reply } from "./method.ts";
export { RPC_METHODS } from "./row.ts";
export { type OpenedStream, type StreamedMethod, streamed } from "./streamed.ts";

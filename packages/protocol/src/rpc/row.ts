/**
 * One row of the table without the others: who calls has a use for one, and to make all their schemas takes a command of `ctl` longer than to ask three hosts.
 */
import type { RPC, RpcMethod } from "./index.ts";

type Rows = { readonly [M in RpcMethod]: () => Promise<(typeof RPC)[M]> };

const ROWS: Rows = {
  ping: async () => (await import("./ping.ts")).ping,
  facts: async () => (await import("./facts.ts")).facts,
  health: async () => (await import("./health.ts")).health,
  bgp: async () => (await import("./bgp.ts")).bgp,
  checks: async () => (await import("./checks.ts")).checks,
  status: async () => (await import("./status.ts")).status,
  plan: async () => (await import("./plan.ts")).plan,
  prune: async () => (await import("./prune.ts")).prune,
  manifest: async () => (await import("./manifest.ts")).manifest,
  images: async () => (await import("./images.ts")).images,
  reconcile: async () => (await import("./reconcile.ts")).reconcile,
  return: async () => (await import("./return.ts")).returnTo,
  switch: async () => (await import("./switch.ts")).throwSwitch,
  logs: async () => (await import("./logs.ts")).logs,
  next: async () => (await import("./next.ts")).next,
  birdc: async () => (await import("./birdc.ts")).birdc,
  exec: async () => (await import("./exec.ts")).exec,
  reboot: async () => (await import("./reboot.ts")).reboot,
  login: async () => (await import("./login.ts")).login,
  joined: async () => (await import("./joined.ts")).joined,
  rename: async () => (await import("./rename.ts")).rename,
  audit: async () => (await import("./audit.ts")).audit,
};

/** In the order of the table. */
export const RPC_METHODS = Object.keys(ROWS) as RpcMethod[];

export const rpcRow = <M extends RpcMethod>(method: M): Promise<(typeof RPC)[M]> => ROWS[method]();

/** The handlers of the RPC table: one that protocol has and this lacks is a compile error. */
import type { Handlers } from "@muster/ports/dispatch";
import type { RPC } from "@muster/protocol";
import { audit } from "./audit.ts";
import { bgp } from "./bgp.ts";
import { birdc } from "./birdc.ts";
import { checks } from "./checks.ts";
import type { RpcDoor } from "./door.ts";
import { exec } from "./exec.ts";
import { facts } from "./facts.ts";
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
import { throwSwitch } from "./switch.ts";

export type { RpcDoor } from "./door.ts";

export function handlersOf(door: RpcDoor): Handlers<typeof RPC> {
  return {
    ping: ping(door),
    facts: facts(door),
    health: health(door),
    bgp: bgp(door),
    checks: checks(door),
    plan: plan(door),
    prune: prune(door),
    manifest: manifest(door),
    images: images(door),
    reconcile: reconcile(door),
    return: returnTo(door),
    status: status(door),
    switch: throwSwitch(door),
    logs: logs(door),
    next: next(door),
    birdc: birdc(door),
    exec: exec(door),
    reboot: reboot(door),
    login: login(door),
    joined: joined(door),
    rename: rename(door),
    audit: audit(door),
  };
}

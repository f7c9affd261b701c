/** What the tests of Docker's kinds stand on: an engine and a host below a prefix, and the loop's own order of observe, plan, apply, look again. */
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Ports } from "@muster/agent/ports/index";
import { kindOf } from "@muster/agent/resources/index";
import { type PlannedAll, planAll } from "@muster/agent/resources/plan-all";
import { observe } from "@muster/agent/round";
import { type Kind, Resource } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import { refOf, splitRef } from "@muster/protocol/resources/index";
import { temporaryDirectory } from "../../../kit/child.ts";
import { type Engine, startEngine } from "../../../kit/engine.ts";
import { portsBelow } from "../resources/private-bird.ts";

export interface Ground {
  readonly engine: Engine;
  readonly ports: Ports;
  /** Where the host below it begins. */
  readonly prefix: string;
  readonly images: { readonly v1: string; readonly v2: string; readonly broken: string };
  resource(kind: Kind, name: string, spec: object, needs?: string[]): Resource;
  container(name: string, image: string, spec?: object): Resource;
  plan(declared: Resource[], removed?: Resource[]): Promise<PlannedAll>;
  /** Plans and applies; the first error that a step throws is thrown. Gives `ref action` of each step. */
  apply(declared: Resource[], removed?: Resource[]): Promise<string[]>;
  release(): Promise<void>;
}

/** Serves its version on 8080 and takes HUP as a reason to read `/conf/page` again. */
const SERVER = `
cat /version > /www/version; echo ok > /www/ready
load() { cat /conf/page > /www/page 2>/dev/null; }
load; trap load HUP; trap 'exit 0' TERM
echo "serving $(cat /version)"
httpd -p 8080 -h /www
while :; do sleep 0.1; done`;

export async function ground(signal: AbortSignal): Promise<Ground> {
  const prefix = await temporaryDirectory("host");
  const { uid, gid } = userInfo();
  for (const below of ["etc", "run", "var/lib"]) mkdirSync(join(prefix.path, below), { recursive: true });
  writeFileSync(join(prefix.path, "etc/passwd"), `root:x:${uid}:${gid}::/root:/bin/sh\n`);
  writeFileSync(join(prefix.path, "etc/group"), `root:x:${gid}:\n`);
  const engine = await startEngine(join(prefix.path, "run/docker.sock"));
  const images = {
    v1: engine.image("lab/web:1", "1", SERVER),
    v2: engine.image("lab/web:2", "2", SERVER),
    broken: engine.image("lab/web:3", "3", "echo 'no such option: --turbo' >&2; exit 3"),
  };
  const ports = portsBelow(prefix.path, signal);
  const entry = async (resource: Resource, applied: unknown) => ({
    resource,
    observed: await observe(resource, ports, signal),
    applied,
    made: true,
  });
  const look = async (declared: Resource[], removed: Resource[] = []) =>
    planAll({
      declared: await Promise.all(declared.map((each) => entry(each, null))),
      removed: await Promise.all(removed.map((each) => entry(each, each.spec))),
      owed: [],
    });
  const resource = (kind: Kind, name: string, spec: object, needs: string[] = []): Resource =>
    Resource.parse({ kind, name, spec, needs });
  return {
    engine,
    ports,
    prefix: prefix.path,
    images,
    resource,
    container: (name, image, spec = {}) =>
      resource(
        "container",
        name,
        { image: "lab/web:1", pin: { id: image }, ...spec },
        Object.keys((spec as { networks?: object }).networks ?? {}).map((each) => `network/${each}`),
      ),
    plan: look,
    async apply(declared, removed = []) {
      const { steps } = await look(declared, removed);
      for (const step of steps) {
        const context = {
          resource: declared.find((each) => refOf(each) === step.ref) ?? null,
          generation: 1,
          window_ms: null,
        };
        await kindOf(splitRef(step.ref)).apply(step, ports, signal, context as never);
      }
      return steps.map(({ ref, action }) => `${ref} ${action}`);
    },
    async release() {
      await engine.stop();
      await prefix.release();
    },
  };
}

export async function errorOf(work: Promise<unknown>): Promise<FleetError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FleetError) return error;
    throw error;
  }
  throw new Error("no error");
}

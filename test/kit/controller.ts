/** A controller in the test's own process, over a test fleet; several may run at once. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openLog } from "@muster/ports/log";
import { type ControllerConfig, runController } from "../../packages/controller/src/index.ts";
import type { TestFleet } from "./fleet.ts";
import { memoryIssuer, type TestIssuer } from "./issuer.ts";

export type TestController = { readonly issuer: TestIssuer; stop(): Promise<void> };

/** Fields other than those of `controllerConfig`. With `vault` it logs in there and has everything signed there. */
type Given = Partial<ControllerConfig>;

export async function controllerConfig(fleet: TestFleet): Promise<ControllerConfig> {
  const broker_ca = join(fleet.server.directory, "broker-ca.pem");
  await writeFile(broker_ca, fleet.broker_ca.certificate_pem);
  return {
    fleet: fleet.name,
    name: "controller",
    brokers: [fleet.server.address],
    broker_ca,
    anchor: fleet.anchor,
    account: fleet.account,
    vault: { addresses: ["https://[::1]:1"], ca: "/none", role_id: "/none", secret_id: "/none" },
    log_level: "info",
  };
}

/** Resolves when it is ready to answer. Its log goes to MUSTER_TEST_LOG where that is set. */
export async function startController(fleet: TestFleet, given: Given = {}): Promise<TestController> {
  const life = new AbortController();
  const issuer = memoryIssuer(fleet);
  const to = process.env.MUSTER_TEST_LOG;
  const log = openLog({
    name: "controller",
    level: to === undefined ? "silent" : "debug",
    ...(to ? { to } : {}),
  });
  const config = { ...(await controllerConfig(fleet)), ...given };
  let running: Promise<void> = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    const status = { say: () => undefined, ready: () => resolve(), stopping: () => undefined };
    const ports = { log, status, now: Date.now, ...(given.vault === undefined ? { issuer } : {}) };
    running = runController(config, ports, life.signal);
    running.then(() => reject(new Error("the controller ended before it was ready")), reject);
  });
  return {
    issuer,
    async stop() {
      life.abort();
      await running;
    },
  };
}

/** A real Alertmanager on loopback, alone, that tells a receiver of ours at once what it was told. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, startChild, temporaryDirectory } from "./child.ts";

/** As `GET /api/v2/alerts` has them. */
export type HeldAlert = {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly status: { readonly state: string };
};

export type Alertmanager = {
  readonly url: string;
  /** What it holds as firing. */
  alerts(): Promise<HeldAlert[]>;
  output(): string;
  stop(): Promise<void>;
};

/** `hook`: where it tells each group, by `alertname`, without waiting. */
export async function startAlertmanager(hook: string): Promise<Alertmanager> {
  const place = await temporaryDirectory("alertmanager");
  const file = join(place.path, "alertmanager.yml");
  const route = { receiver: "hook", group_by: ["alertname"], group_wait: "0s", group_interval: "1s" };
  const receivers = [{ name: "hook", webhook_configs: [{ url: hook, send_resolved: true }] }];
  // JSON is YAML too.
  await writeFile(file, JSON.stringify({ route, receivers }));
  const port = await freePort();
  const child = startChild("/usr/bin/prometheus-alertmanager", [
    `--config.file=${file}`,
    `--storage.path=${join(place.path, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--cluster.listen-address=",
  ]);
  const url = `http://127.0.0.1:${port}`;
  await child.until(async () => (await fetch(`${url}/-/ready`).catch(() => null))?.ok === true);
  return {
    url,
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts`)).json()) as HeldAlert[],
    output: () => child.output(),
    async stop() {
      await child.stop();
      await place.release();
    },
  };
}

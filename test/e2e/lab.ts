/**
 * The doors to `deploy/lab`, typed: it is plain JavaScript, since it has to run before anything is installed, and is loaded by
 * its address, so that a bundled test uses the one and only copy.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

export type Result = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type Server = {
  readonly lab: string;
  readonly name: string;
  readonly container: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string;
  readonly state: string;
};
export type State = {
  readonly directory: string;
  path(name: string): string;
  read(name: string): string | undefined;
  clear(): void;
};
export type Operator = { readonly root: string; readonly folder: string; readonly home: string };
export type ExecOptions = {
  input?: string | Buffer;
  timeout_ms?: number;
  env?: Record<string, string>;
  signal?: AbortSignal;
};
type Order = { lab: string; operator: Operator; progress: unknown };

type Lab = {
  bringUp(order: Order): Promise<{ done: string[] }>;
  takeDown(order: Pick<Order, "lab" | "operator">): Promise<number>;
  ctl(operator: Operator, args: readonly string[], options?: ExecOptions): Promise<Result>;
  findServer(lab: string, name: string): Promise<Server | undefined>;
  listLabs(): Promise<string[]>;
  exec(server: Server, argv: readonly string[], options?: ExecOptions): Promise<Result>;
  kill(server: Server): Promise<void>;
  start(server: Server): Promise<void>;
  restart(server: Server): Promise<void>;
  cut(server: Server, options?: { from?: string[] }): Promise<void>;
  mend(server: Server): Promise<void>;
  openState(lab: string): State;
  createProgress(): unknown;
};

export const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");
const directory = new URL("../../deploy/lab/", import.meta.url);
const load = (file: string): Promise<Partial<Lab>> => import(new URL(file, directory).href);

/** Everything of the lab that tests use. */
export async function openLab(): Promise<Lab> {
  const files = ["bring-up", "ctl", "servers", "network", "faults", "state", "progress"];
  const parts = await Promise.all(files.map((file) => load(`${file}.mjs`)));
  return Object.assign({}, ...parts) as Lab;
}

/** A lab of this clone's tests: two clones on one machine do not meet, and neither do the stories that run side by side. */
export const testLab = (lane: string) =>
  `test-${createHash("sha256").update(ROOT).digest("hex").slice(0, 6)}-${lane}`;
/** The one that this story runs in: the runner says which. */
export const TEST_LAB = testLab(process.env.MUSTER_TEST_LANE ?? "1");

/** Who the tests are: with a home and a fleet folder of their own, so that neither the person's own nor the example is touched. */
export function testOperator(state: State): Operator {
  return {
    root: ROOT,
    folder: `${state.directory}-operator/inventory`,
    home: `${state.directory}-operator/home`,
  };
}

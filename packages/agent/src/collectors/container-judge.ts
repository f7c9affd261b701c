/** What a container's row means: declared against seen. Pure. */
import type { Container } from "@muster/protocol";
import type { ContainerRow, ContainerVerdict } from "@muster/protocol/telemetry/containers";
import type { Fault } from "@muster/protocol/telemetry/fault";
import { FALLS_WINDOW_MS } from "../ports/docker-ends.ts";
import type { ListedContainer } from "../ports/docker-facts.ts";

export type DeclaredContainer = {
  readonly name: string;
  readonly spec: Pick<Container, "image" | "restart">;
};
export type SeenContainer = Pick<
  ContainerRow,
  "since" | "health" | "exit_code" | "restarts" | "oom_killed" | "ended_at" | "ended_with" | "oom_at"
> & {
  readonly listed: ListedContainer;
  /** It runs, and fell again and again before. */
  readonly loops: boolean;
};

/** One that fell and came back within this time is not taken to be up. */
const LOOPING_MS = 20_000;
/** Once may happen. */
const LOOPING_FALLS = 2;

/** Whether one that runs will fall again, as far as can be seen: `falls` is when it did of late, by the engine's clock, which is ours. */
export const loops = (
  { since, restarts }: Pick<ContainerRow, "since" | "restarts">,
  falls: readonly number[],
  now_ms: number,
): boolean =>
  (restarts ?? 0) > 0 &&
  since !== null &&
  now_ms - since < LOOPING_MS &&
  falls.filter((at) => now_ms - at < FALLS_WINDOW_MS).length >= LOOPING_FALLS;

/** One that Docker is not to start again has done its work when it ended with 0. */
const isDone = ({ state, exit_code }: Omit<ContainerRow, "verdict">, { spec }: DeclaredContainer) =>
  state === "exited" && exit_code === 0 && /^(no|on-failure)/.test(spec.restart);

export function judgeContainer(
  row: Omit<ContainerRow, "verdict">,
  declared: DeclaredContainer | null,
  looping = false,
): ContainerVerdict {
  if (row.state === "missing") return "missing";
  if (row.state === "restarting" || looping) return "restarting";
  if (row.state === "running") return row.health === "unhealthy" ? "unhealthy" : "ok";
  if (declared === null) return "idle";
  return isDone(row, declared) ? "ok" : "down";
}

/** What is wrong with one container; null when nothing is. Undeclared ones are nobody's promise: what they lack is amber. */
export function containerFault(row: ContainerRow): Fault | null {
  const { name, declared, state, since, verdict, oom_killed } = row;
  const base = {
    colour: declared ? ("red" as const) : ("amber" as const),
    about: name,
    ref: declared ? `container/${name}` : null,
    since,
  };
  const code = row.exit_code ?? row.ended_with;
  const memory = oom_killed === true ? ", out of memory" : "";
  switch (verdict) {
    case "missing":
      return { ...base, what: `container ${name} is declared and not there` };
    case "down":
      return {
        ...base,
        what: `container ${name} is ${state}${memory}${code === null ? "" : `, ended with ${code}`}, and should run`,
      };
    case "unhealthy":
      return { ...base, what: `container ${name} is unhealthy: its health check fails` };
    case "restarting":
      return {
        ...base,
        since: null,
        what: `container ${name} ends again and again${code === null ? "" : ` with ${code}`}${memory}; Docker restarts it`,
      };
    default:
      return null;
  }
}

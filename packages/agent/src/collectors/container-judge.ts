/** What a container's row means: declared against seen. Pure. */
import type { Container } from "@muster/protocol";
import type { ContainerRow, ContainerVerdict } from "@muster/protocol/telemetry/containers";
import type { Fault } from "@muster/protocol/telemetry/fault";
import type { ListedContainer } from "../ports/docker-facts.ts";

export type DeclaredContainer = {
  readonly name: string;
  readonly spec: Pick<Container, "image" | "restart">;
};
export type SeenContainer = Pick<
  ContainerRow,
  "since" | "health" | "exit_code" | "restarts" | "oom_killed"
> & {
  readonly listed: ListedContainer;
};

/** One that Docker is not to start again has done its work when it ended with 0. */
const isDone = ({ state, exit_code }: Omit<ContainerRow, "verdict">, { spec }: DeclaredContainer) =>
  state === "exited" && exit_code === 0 && /^(no|on-failure)/.test(spec.restart);

export function judgeContainer(
  row: Omit<ContainerRow, "verdict">,
  declared: DeclaredContainer | null,
): ContainerVerdict {
  if (row.state === "missing") return "missing";
  if (row.state === "restarting") return "restarting";
  if (row.state === "running") return row.health === "unhealthy" ? "unhealthy" : "ok";
  if (declared === null) return "idle";
  return isDone(row, declared) ? "ok" : "down";
}

/** What is wrong with one container; null when nothing is. Undeclared ones are nobody's promise: what they lack is amber. */
export function containerFault(row: ContainerRow): Fault | null {
  const { name, declared, state, since, verdict, exit_code, oom_killed } = row;
  const base = {
    colour: declared ? ("red" as const) : ("amber" as const),
    about: name,
    ref: declared ? `container/${name}` : null,
    since,
  };
  const ended = `${oom_killed === true ? ", out of memory" : ""}${exit_code === null ? "" : `, ended with ${exit_code}`}`;
  switch (verdict) {
    case "missing":
      return { ...base, what: `container ${name} is declared and not there` };
    case "down":
      return { ...base, what: `container ${name} is ${state}${ended}, and should run` };
    case "unhealthy":
      return { ...base, what: `container ${name} is unhealthy: its health check fails` };
    case "restarting":
      return {
        ...base,
        since: null,
        what: `container ${name} ends again and again, Docker restarts it${oom_killed === true ? ": out of memory" : ""}`,
      };
    default:
      return null;
  }
}

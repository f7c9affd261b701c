/**
 * Whether a container that was started does its work: its own readiness, else its health check, else that it stays up. Asked four times a second,
 * over the container's address, so that nothing needs to be published.
 */
import type { IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { FleetError } from "@muster/protocol/errors";
import { durationMs } from "@muster/protocol/resources/amount";
import type { Container } from "@muster/protocol/resources/container";
import type { Ready } from "@muster/protocol/resources/container-parts";
import type { Docker } from "../ports/docker.ts";
import type { ContainerFacts } from "../ports/docker-facts.ts";

const PERIOD_MS = 250;
const PROBE_LIMIT_MS = 2_000;
/** What has nothing to ask is taken to work when it ran this long. */
export const STAYS_MS = 3_000;
/** An image's own health check says nothing of how long it may take. */
const HEALTH_LIMIT_MS = 300_000;
/** It may fail at first, such as for a database that starts beside it. */
const FALLS_LIMIT = 3;
const LOG_LINES = 8;
const LOG_CHARACTERS = 900;

/** Null once it is ready, else a sentence with its own last words. Errors: as the engine's; CANCELLED. */
export async function untilReady(
  name: string,
  spec: Container,
  docker: Docker,
  signal: AbortSignal,
): Promise<string | null> {
  const began_ms = Date.now();
  const { ready } = spec;
  let last = "no answer";
  /** How it ended last, of one that the engine starts again and again. */
  let fell: string | null = null;
  for (;;) {
    const facts = await docker.container(name, signal);
    if (facts === null) return `${name} was removed while it started`;
    if (facts.status === "exited" || facts.status === "dead")
      return endedWell(facts, spec) ? null : await lastWords(name, ended(facts), docker, signal);
    if (facts.status === "restarting") fell = ended(facts);
    // Between two falls Docker does not know how it ended: that is told by the next one.
    if (facts.restarts >= FALLS_LIMIT && fell !== null)
      return await lastWords(name, `does not stay up: ${fell}`, docker, signal);
    const limit_ms =
      ready !== undefined
        ? durationMs(ready.within)
        : facts.health !== null
          ? HEALTH_LIMIT_MS
          : STAYS_MS * 10;
    if (facts.status === "running") {
      const answer = await readiness(name, spec, facts, docker, signal);
      if (answer === null) return null;
      last = answer;
      if (ready === undefined && facts.health === "unhealthy")
        return await lastWords(name, last, docker, signal);
    }
    if (Date.now() - began_ms > limit_ms)
      return await lastWords(
        name,
        `not ready within ${Math.round(limit_ms / 1_000)} s: ${fell ?? last}`,
        docker,
        signal,
      );
    await sleep(PERIOD_MS, undefined, { signal });
  }
}

/** Of one that runs: null when it is ready now, else what it lacks. */
export async function readiness(
  name: string,
  spec: Pick<Container, "ready">,
  facts: ContainerFacts,
  docker: Docker,
  signal: AbortSignal,
): Promise<string | null> {
  if (spec.ready !== undefined) return probe(spec.ready, name, facts, docker, signal);
  if (facts.health !== null)
    return facts.health === "healthy" ? null : `${facts.health}: ${facts.health_words}`;
  const stays = facts.started_ms !== null && Date.now() - facts.started_ms >= STAYS_MS;
  return stays ? null : "started just now";
}

/** One that is meant to end. */
export const endedWell = ({ status, exit_code }: ContainerFacts, { restart }: Pick<Container, "restart">) =>
  status === "exited" && exit_code === 0 && (restart === "no" || restart.startsWith("on-failure"));

export function ended({ exit_code, error, oom_killed, started_ms }: ContainerFacts): string {
  if (oom_killed) return "it was killed for want of memory (mem_limit)";
  if (error !== "") return error;
  if (exit_code !== null) return `it ended with code ${exit_code}`;
  return started_ms === null ? "it was never started" : "Docker starts it again and again";
}

/** The sentence with the end of the container's log. */
export async function lastWords(
  name: string,
  why: string,
  docker: Docker,
  signal: AbortSignal,
): Promise<string> {
  const log = await docker.logTail(name, LOG_LINES, signal);
  const lines = log
    .split("\n")
    .map((line) => line.replace(/\p{Cc}/gu, " ").trim())
    .filter(Boolean);
  const tail = lines.join(" | ").slice(-LOG_CHARACTERS);
  return tail === "" ? `${why}; its log is empty` : `${why}; its log ends: ${tail}`;
}

/** Null when it is ready, else what came instead. */
async function probe(
  ready: Ready,
  name: string,
  facts: ContainerFacts,
  docker: Docker,
  signal: AbortSignal,
): Promise<string | null> {
  if ("command" in ready) {
    const answer = await docker.exec(name, ready.command, signal).catch((error: unknown) => {
      // It ended between the two questions, or has no such program.
      if (error instanceof FleetError && error.code === "DOCKER_REFUSED") return error;
      throw error;
    });
    if (answer instanceof FleetError) return answer.detail;
    const { code, output } = answer;
    return code === 0
      ? null
      : `${ready.command.join(" ")} ended with ${code}: ${output.trim().slice(0, 300)}`;
  }
  const address = addressOf(facts);
  if (address === null) return "it has no address yet";
  if ("tcp" in ready) return connects(address, Number(ready.tcp.slice(1)));
  const [scheme, where] =
    "http" in ready ? (["http", ready.http] as const) : (["https", ready.https] as const);
  const host = address.includes(":") ? `[${address}]` : address;
  return answers(new URL(`${scheme}://${host}${where}`));
}

function addressOf({ host_network, networks }: ContainerFacts): string | null {
  if (host_network) return "127.0.0.1";
  const all = Object.values(networks);
  return all.find(({ ipv4 }) => ipv4 !== null)?.ipv4 ?? all.find(({ ipv6 }) => ipv6 !== null)?.ipv6 ?? null;
}

/** The certificate is for its users: here only the container's own bridge is between. */
async function answers(url: URL): Promise<string | null> {
  const options = { timeout: PROBE_LIMIT_MS, agent: false, rejectUnauthorized: false };
  const { get } = url.protocol === "https:" ? await import("node:https") : await import("node:http");
  return new Promise((resolve) => {
    const request = get(url, options, (response: IncomingMessage) => {
      response.resume();
      const code = response.statusCode ?? 0;
      resolve(code >= 200 && code < 400 ? null : `${url.pathname} answers ${code}`);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${PROBE_LIMIT_MS / 1_000} s`)));
    request.on("error", (error) => resolve(error.message));
  });
}

async function connects(host: string, port: number): Promise<string | null> {
  const { connect } = await import("node:net");
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_LIMIT_MS });
    const done = (answer: string | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", () => done(null));
    socket.on("timeout", () => done(`port ${port}: no answer within ${PROBE_LIMIT_MS / 1_000} s`));
    socket.on("error", (error) => done(error.message));
  });
}

/** What has to be done so that a container is as declared, and what is to be told of one that is and does not work. Pure. */
import type { Step } from "@muster/protocol";
import { contentHash } from "@muster/protocol/canonical";
import type { Container } from "@muster/protocol/resources/container";
import { textDiff } from "../diff.ts";
import type { ContainerFacts } from "../ports/docker-facts.ts";
import { changedLimits } from "./container-create.ts";
import {
  type FileState,
  filesHash,
  filesOf,
  IDENTITY_LABEL,
  IMAGE_LABEL,
  identityOf,
  imageWords,
  RESOURCE_LABEL,
  repositoryOf,
} from "./container-identity.ts";
import { endedWell } from "./container-ready.ts";
import { closedWords, notOurs } from "./container-replace.ts";
import type { Declared, KindPlan, PlanContext } from "./kind.ts";
import { packageComes } from "./service.ts";

export type ObservedContainer = {
  /** False: no engine is installed here. */
  readonly engine: boolean;
  readonly container: ContainerFacts | null;
  /** The one before is still kept: a replacement was cut off. */
  readonly kept: boolean;
  /** The pinned image is on the host. */
  readonly image: boolean;
  /** Of each of its networks whether ports are published there; null: there is no such network. */
  readonly networks: Readonly<Record<string, boolean | null>>;
  readonly files: Readonly<Record<string, FileState>>;
  /** Hash of the files that the container was told of last. */
  readonly loaded: string | null;
  /** Why it does not work although it is as declared, with its last words. */
  readonly unwell: string | null;
};

/** Many steps must fit into one message. */
const DIFF_CHARACTERS = 32_000;

export const NO_ENGINE =
  "Docker does not run here: its socket is not there (package docker.io; systemctl status docker.socket)";

export function planContainer(
  resource: Declared<"container">,
  observed: ObservedContainer,
  context: PlanContext,
): KindPlan {
  const { name, spec } = resource;
  const { container } = observed;
  const unsupported = (why: string): KindPlan => ({ steps: [], notes: [], unsupported: why });
  if (!observed.engine && !packageComes(context.coming)) return unsupported(NO_ENGINE);
  if (container !== null && container.labels[RESOURCE_LABEL] !== `container/${name}`)
    return unsupported(notOurs(name));
  const networks = Object.keys(spec.networks);
  const missing = networks.find(
    (each) => observed.networks[each] === null && !context.coming.has(`network/${each}`),
  );
  if (missing !== undefined && !resource.needs.includes(`network/${missing}`))
    return unsupported(`there is no network ${missing} here: declare network/${missing}`);
  // One that is still to be made, or made anew, is judged when it is there.
  const known = networks.every(
    (each) => observed.networks[each] !== null && !context.coming.has(`network/${each}`),
  );
  if (spec.ports.length > 0 && known && !networks.some((each) => observed.networks[each] === true)) {
    const detail = closedWords(name, networks);
    return { ...unsupported(detail), refused: { code: "INVALID", detail } };
  }
  const differs = whyAnother(spec, container, context.applied as Container | null);
  if (differs !== null || container === null) return planAnother(resource, observed, differs, context);
  const steps = planSame(resource, observed, container, context);
  return {
    steps,
    notes: [],
    ...(observed.unwell === null || steps.length > 0 ? {} : { unwell: observed.unwell }),
  };
}

/** It has to be made, or another one in its place. */
function planAnother(
  resource: Declared<"container">,
  observed: ObservedContainer,
  why: string | null,
  context: PlanContext,
): KindPlan {
  const { name, spec } = resource;
  const { container, kept } = observed;
  const ref = `container/${name}`;
  const steps: Step[] = [];
  if (!observed.image) {
    if (!("digest" in spec.pin)) {
      const words = `the image ${imageWords(spec)} is not on this host, and one that is pinned by its id cannot be fetched: docker load it here`;
      return { steps: [], notes: [], unsupported: words };
    }
    steps.push({
      ref,
      action: "pull",
      args: { repository: repositoryOf(spec.image), digest: spec.pin.digest },
      why: `the image ${imageWords(spec)} is not on this host`,
      reversible: true,
    });
  }
  const first = container === null && !kept;
  steps.push({
    ref,
    action: first ? "create" : "replace",
    args: {
      identity: identityOf(spec),
      files_sha256: filesHash(spec),
      ...(first ? { makes: true } : {}),
    },
    ...diffOf(context.applied as Container | null, spec),
    why: why ?? (kept ? "a replacement was cut off" : "it is not there"),
    ...(first
      ? {}
      : { effect: `${name} is away for a moment; the one there now is kept until ${readyWords(spec)}` }),
    reversible: true,
  });
  return { steps, notes: [] };
}

/** The container may stay: its networks, files and state. */
function planSame(
  resource: Declared<"container">,
  observed: ObservedContainer,
  container: ContainerFacts,
  context: PlanContext,
): Step[] {
  const { name, spec } = resource;
  const ref = `container/${name}`;
  const steps: Step[] = [];
  const [on, off] = attachments(spec, container);
  if (on.length > 0 || off.length > 0) {
    const words = [...on.map((each) => `not on ${each}`), ...off.map((each) => `on ${each}`)].join(", ");
    steps.push({ ref, action: "attach", args: { on, off }, why: `it is ${words}`, reversible: true });
  }
  const changed = changedFiles(filesOf(spec), observed.files);
  const concluded = observed.loaded !== null;
  const told = !concluded || observed.loaded === filesHash(spec) || spec.on_change === "none";
  if (changed.length > 0 || !told) {
    const shown = changed.slice(0, 5).join(", ") + (changed.length > 5 ? `, ${changed.length - 5} more` : "");
    const effect = onChangeWords(name, spec);
    steps.push({
      ref,
      action: "reload",
      args: { files_sha256: filesHash(spec) },
      why:
        changed.length > 0
          ? `${shown} ${changed.length === 1 ? "differs" : "differ"}`
          : "it was not told of its files",
      ...diffOf(context.applied as Container | null, spec),
      ...(effect === null ? {} : { effect }),
      reversible: true,
    });
  }
  const runs = container.status === "running" || container.status === "restarting";
  // One that never runs again by itself is left when it ended as it should.
  if (!runs && !endedWell(container, spec))
    steps.push({ ref, action: "start", args: {}, why: `it is ${container.status}`, reversible: true });
  if (observed.kept || (!concluded && runs && observed.unwell === null)) {
    const why = observed.kept
      ? "the one before is still kept: a replacement was cut off"
      : "it was not ready so far";
    steps.push({ ref, action: "finish", args: { identity: identityOf(spec) }, why, reversible: false });
  }
  return steps;
}

/** Why the one there cannot stay; null when it can, or there is none. */
function whyAnother(
  spec: Container,
  container: ContainerFacts | null,
  applied: Container | null,
): string | null {
  if (container === null) return null;
  if (container.labels[IDENTITY_LABEL] !== identityOf(spec)) {
    const fields = applied === null ? [] : changedFields(applied, spec);
    const before = container.labels[IMAGE_LABEL];
    const image = before === imageWords(spec) ? [] : [`image ${before} → ${imageWords(spec)}`];
    const others = fields.filter((field) => field !== "image" && field !== "pin");
    const all = [...image, ...others];
    return all.length === 0 ? "it was made in another way" : all.join(", ");
  }
  const by_hand = changedLimits(spec, container);
  return by_hand.length === 0 ? null : `${by_hand.join(", ")} changed outside of Muster`;
}

function changedFields(before: Container, after: Container): string[] {
  const hash = (value: unknown) => contentHash((value ?? null) as never);
  return (Object.keys({ ...before, ...after }) as (keyof Container)[]).filter(
    (field) => field !== "ready" && field !== "on_change" && hash(before[field]) !== hash(after[field]),
  );
}

/** Networks it must come on to, and those it must leave. Fixed addresses count. */
function attachments(spec: Container, { networks, host_network }: ContainerFacts): [string[], string[]] {
  if (host_network || Object.keys(spec.networks).length === 0) return [[], []];
  const on = Object.entries(spec.networks).flatMap(([name, { ipv4_address, ipv6_address }]) => {
    const there = networks[name];
    const same =
      there !== undefined &&
      there.fixed_ipv4 === (ipv4_address ?? null) &&
      there.fixed_ipv6 === (ipv6_address ?? null);
    return same ? [] : [name];
  });
  return [
    on.sort(),
    Object.keys(networks)
      .filter((name) => spec.networks[name] === undefined)
      .sort(),
  ];
}

function changedFiles(
  wanted: Readonly<Record<string, FileState>>,
  there: Readonly<Record<string, FileState>>,
): string[] {
  return [...new Set([...Object.keys(wanted), ...Object.keys(there)])]
    .filter(
      (path) => wanted[path]?.sha256 !== there[path]?.sha256 || wanted[path]?.mode !== there[path]?.mode,
    )
    .sort();
}

/** What changed in its files since they were applied; not in what not everybody may read, nor in what travels by its hash. */
function diffOf(applied: Container | null, spec: Container): { diff?: string } {
  if (applied === null) return {};
  const [before, after] = [textsOf(applied), textsOf(spec)];
  const parts = [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((path) => {
    const { text } = textDiff(before.get(path) ?? "", after.get(path) ?? "");
    return text === "" ? [] : [`${path}\n${text}`];
  });
  return parts.length === 0 ? {} : { diff: parts.join("\n").slice(0, DIFF_CHARACTERS) };
}

function textsOf({ files }: Container): Map<string, string> {
  const shown = ({ mode }: { mode: string }) => (Number.parseInt(mode, 8) & 0o004) !== 0;
  return new Map(
    Object.entries(files).flatMap(([directory, inner]) =>
      Object.entries(inner).flatMap(([name, file]) =>
        "content" in file && shown(file) ? [[`${directory}/${name}`, file.content] as const] : [],
      ),
    ),
  );
}

function onChangeWords(name: string, { on_change }: Container): string | null {
  if (on_change === "none") return null;
  if (on_change === "restart") return `restarts ${name}: it is away for a moment`;
  return "signal" in on_change
    ? `sends ${on_change.signal} to ${name}`
    : `runs ${on_change.exec.join(" ")} in ${name}`;
}

function readyWords({ ready, healthcheck }: Container): string {
  if (ready === undefined)
    return healthcheck === undefined ? "the new one stays up" : "the new one is healthy";
  if ("command" in ready) return `${ready.command[0]} says that the new one is ready`;
  return `the new one answers on ${"http" in ready ? ready.http : "https" in ready ? ready.https : ready.tcp}`;
}

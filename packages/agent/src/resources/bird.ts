/**
 * Kind `bird`: the whole configuration of the routing daemon. Checked by the host's own BIRD while planning; a running BIRD loads it from a
 * versioned path under BIRD's own timer and the guard (`bird-guard.ts`), and only the confirmed file becomes the one for the next boot.
 * A BIRD that does not run gets its file at once, checked, and reads it when it starts.
 */
import type { Step } from "@muster/protocol";
import { sha256 } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { withDisabled } from "../bird/disable.ts";
import { guardWindow, successorOf } from "../bird/resets.ts";
import type { SeenSession } from "../bird/session.ts";
import { diffCounts, textDiff } from "../diff.ts";
import type { FileFacts } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import type { CheckResult } from "../ports/routing.ts";
import { editWords, pick } from "./attributes.ts";
import { type BirdDrain, birdDrain, disabledIn, turns, wantedText } from "./bird-drain.ts";
import {
  BOOT_FILE,
  CONFIG_BYTES,
  checkConfig,
  declaredIn,
  FRESH_ATTRIBUTES,
  type Includes,
  includedPaths,
  MUSTER_FILE,
  musterText,
  nameBootFile,
  readIncludes,
  versionedFile,
} from "./bird-files.ts";
import { birdGuard } from "./bird-guard.ts";
import type { ApplyContext, KindPlan, PlanContext, ResourceKind } from "./kind.ts";

/** A session with how often it fell. */
export type ObservedBirdSession = SeenSession & { readonly flaps: number | null };

export type ObservedBird = {
  readonly boot: { readonly facts: FileFacts; readonly text: string } | null;
  /** What old and new text include; muster.conf among them. */
  readonly includes: Includes;
  /** The drain that is thrown; null = none. */
  readonly drain: BirdDrain | null;
  /** What follows is asked for only when there is something to do; null otherwise. */
  readonly daemon: {
    /** Null: there is no BIRD on this host. */
    readonly version: string | null;
    readonly running: boolean;
    /** BIRD's undo timer: an unconfirmed configuration is loaded. */
    readonly undo_in_ms: number | null;
    readonly check: CheckResult;
    readonly sessions: readonly ObservedBirdSession[];
  } | null;
};

const REF = "bird/main";
/** BIRD's own timer ends after the agent's window and its last look, so that it only acts when the agent does not. */
const TIMER_MARGIN_MS = 30_000;

export const bird: ResourceKind<"bird", ObservedBird> = {
  async observe(resource, ports, signal) {
    const { files } = ports;
    const facts = await files.facts(BOOT_FILE);
    const bytes = facts === null ? null : await files.read(BOOT_FILE, CONFIG_BYTES);
    const boot = facts === null || bytes === null ? null : { facts, text: bytes.toString("utf8") };
    const { config } = resource.spec;
    const includes = {
      ...(boot === null || boot.text === config ? {} : await readIncludes(boot.text, files)),
      ...(await readIncludes(config, files)),
    };
    const drain = birdDrain(ports.drain());
    const { text } = wantedText(config, includes, drain);
    const agrees = boot !== null && boot.text === text && !turns(config, includes, drain);
    return {
      boot,
      includes,
      drain,
      daemon: agrees ? null : await observeDaemon(text, boot, includes, ports, signal),
    };
  },
  plan: (resource, observed, context) => planBird(resource.spec.config, observed, context),
  removal: () => ({ left: "BIRD and its configuration stay as they are" }),
  apply: applyBird,
  managed: ({ boot }) => (boot === null ? null : sha256(boot.text)),
  edit: (_resource, { boot }) => ({
    what: editWords(boot?.facts ?? null),
    at_ms: boot?.facts.changed_ms ?? null,
  }),
  watch: () => [BOOT_FILE, MUSTER_FILE],
  guard: birdGuard,
};

async function observeDaemon(
  text: string,
  boot: ObservedBird["boot"],
  includes: Includes,
  ports: Ports,
  signal: AbortSignal,
): Promise<ObservedBird["daemon"]> {
  const { routing } = ports;
  const version = await routing.version(signal);
  const nothing = { undo_in_ms: null, sessions: [] };
  if (version === null) return { ...nothing, version, running: false, check: { ok: true } };
  const attributes = boot === null ? FRESH_ATTRIBUTES : pick(boot.facts);
  const running = await routing.running(signal);
  const check = await checkConfig(text, { version, includes, attributes }, ports, signal);
  if (!running) return { ...nothing, version, running, check };
  const { undo_in_ms } = await routing.status(signal);
  const { sessions } = await routing.sessions(signal);
  return { version, running, undo_in_ms, check, sessions };
}

function planBird(
  config: string,
  { boot, includes, drain, daemon }: ObservedBird,
  { coming }: PlanContext,
): KindPlan {
  const steps: Step[] = [];
  const wants_constant = declaredIn(config, includes).muster_include;
  if (wants_constant && includes[MUSTER_FILE] === null) {
    const why = `${MUSTER_FILE} is included and not there`;
    steps.push({ ref: REF, action: "define", args: { makes: true }, why, reversible: true });
  }
  if (daemon === null) return { steps, notes: [] };
  const { version, check, running, undo_in_ms } = daemon;
  const wait = (why: string): KindPlan => ({ steps: [], notes: [], unsupported: why });
  if (version === null) return wait("there is no BIRD on this host (package bird2)");
  if (undo_in_ms !== null) {
    return wait(
      `BIRD has an unconfirmed configuration, which it takes back in ${Math.ceil(undo_in_ms / 1_000)} s`,
    );
  }
  const unread = includedPaths(includes).filter((path) => coming.has(path));
  if (!check.ok && unread.length === 0)
    return {
      steps: [],
      notes: [],
      refused: { code: "BIRD_REFUSED", detail: `BIRD ${version} there: ${check.words}` },
    };
  const note = check.ok
    ? `checked by BIRD ${version} there`
    : `BIRD ${version} checks it once ${unread.join(", ")} is written`;
  const { text, disables } = wantedText(config, includes, drain);
  const before = boot?.text ?? "";
  const diff = textDiff(before, text, hidePasswords);
  const turn = turns(config, includes, drain);
  const ends = drain === null && disabledIn(before, config, includes).length > 0;
  const turned = drain === null ? "undrained" : `drained by ${drain.by}: ${drain.why}`;
  const effect = running ? effectOf(before, text, includes) : "BIRD does not run: it reads it when it starts";
  steps.push({
    ref: REF,
    action: running ? "configure" : "install",
    args: {
      content_sha256: sha256(text),
      ...(turn ? { drain: drain !== null } : {}),
      ...(disables.length > 0 ? { disables: [...disables] } : {}),
    },
    why: [
      ...(turn || ends || disables.length > 0 ? [turned] : []),
      ...(diff.text === "" ? [] : [diffCounts("bird.conf", diff)]),
    ].join("; "),
    ...(diff.text === "" ? {} : { diff: diff.text }),
    effect: `${turn && drain !== null ? "GRACEFUL_SHUTDOWN (65535:0) where muster_drain says so; " : ""}${effect}`,
    reversible: true,
  });
  return { steps, notes: [note] };
}

/** What the change does to sessions, for the operator. */
function effectOf(before: string, after: string, includes: Includes): string {
  const [old, now] = [declaredIn(before, includes), declaredIn(after, includes)];
  const { resets } = guardWindow(old, now);
  const gone = old.sessions
    .filter((session) => successorOf(session, now.sessions, old.sessions) === null)
    .map(({ name }) => name);
  const come = now.sessions
    .filter((session) => successorOf(session, old.sessions, now.sessions) === null)
    .map(({ name }) => name);
  const turned = (off: boolean) =>
    old.sessions
      .filter((session) => {
        const next = successorOf(session, now.sessions, old.sessions);
        return next !== null && session.disabled !== off && next.disabled === off;
      })
      .map(({ name }) => name);
  const [disabled, enabled] = [turned(true), turned(false)];
  const parts = [
    ...(disabled.length === 0 ? [] : [`disables ${disabled.join(", ")}: they go down`]),
    ...(enabled.length === 0 ? [] : [`enables ${enabled.join(", ")}`]),
    ...(resets.length === 0
      ? []
      : [`resets ${resets.map(({ session, why }) => `${session} (${why})`).join(", ")}`]),
    ...(gone.length === 0 ? [] : [`ends ${gone.join(", ")}`]),
    ...(come.length === 0 ? [] : [`begins ${come.join(", ")}`]),
  ];
  if (resets.length + disabled.length === 0) parts.unshift("filters reload in place, no session resets");
  return parts.join("; ").slice(0, 2_000);
}

/** Passwords (`password "…"`, `authentication … key "…"`) stand in no plan. */
function hidePasswords(line: string): string {
  return line.replace(/\b(password|key)(\s+)("[^"]*"?|'[^']*'?|[0-9a-fA-F:]{16,})/g, '$1$2"‹hidden›"');
}

async function applyBird(
  step: Step,
  ports: Ports,
  signal: AbortSignal,
  context: ApplyContext<"bird">,
): Promise<void> {
  const { files, routing } = ports;
  const facts = await files.facts(BOOT_FILE);
  const attributes = facts === null ? FRESH_ATTRIBUTES : pick(facts);
  if (step.action === "define") {
    if ((await files.facts(MUSTER_FILE)) === null)
      await files.replace(MUSTER_FILE, Buffer.from(musterText(ports.drain() !== null)), attributes);
    return;
  }
  const config = context.resource?.spec.config;
  const { drain, disables } = step.args;
  const names = Array.isArray(disables) ? disables.map(String) : [];
  const text = config === undefined ? null : withDisabled(config, names);
  if (text === null || sha256(text) !== step.args.content_sha256)
    throw new FleetError("ALTERED", `${REF}: its content is not the one that was planned`);
  const bytes = Buffer.from(text);
  const define = async () => {
    if (typeof drain === "boolean")
      await files.replace(MUSTER_FILE, Buffer.from(musterText(drain)), attributes);
  };
  if (step.action === "install") {
    if (await routing.running(signal))
      throw new FleetError("CONFLICT", "BIRD was started meanwhile: plan again");
    await define();
    return files.replace(BOOT_FILE, bytes, attributes, async (candidate) => {
      const check = await routing.check(candidate, `install ${step.args.content_sha256}`, signal);
      if (!check.ok) throw new FleetError("BIRD_REFUSED", nameBootFile(check.words, candidate));
    });
  }
  if (step.action !== "configure") throw new FleetError("INVALID", `bird has no step ${step.action}`);
  if (context.window_ms === null) throw new FleetError("INVALID", `${REF} is only configured under a guard`);
  const versioned = versionedFile(context.generation);
  const before = await routing.status(signal);
  if (before.undo_in_ms !== null) {
    // A second `configure timeout` would make the undo lead to the first one instead of to what worked.
    if ((await files.read(versioned, CONFIG_BYTES))?.equals(bytes) === true) return;
    throw new FleetError("CONFLICT", "BIRD has an unconfirmed configuration of somebody else");
  }
  await define();
  await files.replace(versioned, bytes, attributes);
  try {
    await routing.configure(files.real(versioned), context.window_ms + TIMER_MARGIN_MS, signal);
  } catch (error) {
    if (!(error instanceof FleetError) || error.code !== "BIRD_REFUSED") throw error;
    await files.remove(versioned);
    throw new FleetError("BIRD_REFUSED", nameBootFile(error.detail, files.real(versioned)), { cause: error });
  }
}

/**
 * How a BIRD change is kept or taken back. The old boot file travels inside the record of the unconfirmed change; the boot file itself is not
 * touched before the confirmation, so that a crash or a reboot in between finds the old one.
 */
import { sha256 } from "@muster/protocol/canonical";
import { FleetError, parse } from "@muster/protocol/errors";
import { z } from "zod";
import { FLAPPING_FROM } from "../bird/flaps.ts";
import { evaluateGuard, type GuardBaseline, guardBaseline } from "../bird/guard.ts";
import { guardWindow } from "../bird/resets.ts";
import type { Files } from "../ports/files.ts";
import type { Ports } from "../ports/index.ts";
import { pick } from "./attributes.ts";
import type { ObservedBird, ObservedBirdSession } from "./bird.ts";
import { wantedText } from "./bird-drain.ts";
import {
  BOOT_FILE,
  CONFIG_BYTES,
  confirmingFile,
  declaredIn,
  FRESH_ATTRIBUTES,
  MUSTER_FILE,
  removeLeftovers,
  versionedFile,
} from "./bird-files.ts";
import type { Guarded } from "./kind.ts";

const Snapshot = z.strictObject({
  v: z.literal(1),
  generation: z.int(),
  /** The boot file as it was; null when there was none. Base64: it need not be valid UTF-8. */
  boot: z
    .strictObject({ base64: z.string(), owner: z.string(), group: z.string(), mode: z.string() })
    .nullable(),
  /** What muster.conf said; null when it was not there. */
  muster: z.string().nullable().default(null),
  /** SHA-256 of the new text. */
  after: z.string(),
  baseline: z.custom<GuardBaseline>(
    (value) => typeof value === "object" && value !== null && "guarded" in value,
  ),
});
type Snapshot = z.infer<typeof Snapshot>;

export const birdGuard: Guarded<"bird", ObservedBird> = {
  thing: "bird.conf",

  plan(resource, observed, steps) {
    if (!steps.some((step) => step.action === "configure")) return null;
    const { before, after, sessions } = comparison(resource.spec.config, observed);
    const { window_s } = guardWindow(before, after);
    const { guarded } = guardBaseline(sessions, { before, after }, isFlappingIn(sessions));
    return { window_ms: window_s * 1_000, watches: guarded.map((session) => session.after) };
  },

  /** Reads boot file and sessions anew, just before the change. */
  async snapshot(resource, observed, _directory, { files, routing }, signal, { generation }) {
    const facts = await files.facts(BOOT_FILE);
    const bytes = facts === null ? null : await files.read(BOOT_FILE, CONFIG_BYTES);
    const { sessions } = await routing.sessions(signal);
    const { before, after } = comparison(resource.spec.config, observed);
    const snapshot: Snapshot = {
      v: 1,
      generation,
      boot: facts === null || bytes === null ? null : { base64: bytes.toString("base64"), ...pick(facts) },
      muster: (await files.read(MUSTER_FILE, CONFIG_BYTES))?.toString("utf8") ?? null,
      after: sha256(wantedText(resource.spec.config, observed.includes, observed.drain).text),
      baseline: guardBaseline(sessions, { before, after }, isFlappingIn(sessions)),
    };
    return snapshot;
  },

  async check(kept, { routing }, signal) {
    const { baseline } = read(kept);
    const failures: string[] = [];
    try {
      const status = await routing.status(signal);
      if (status.known && status.undo_in_ms === null)
        failures.push("BIRD's own undo timer is gone: somebody else configured BIRD during the change");
      if (status.in_progress) failures.push("BIRD is still busy with the new configuration");
      const { sessions } = await routing.sessions(signal);
      failures.push(...evaluateGuard(baseline, sessions).failures.map((failure) => failure.sentence));
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "BIRD_UNREACHABLE") throw error;
      const lost = evaluateGuard(baseline, null).failures.map((failure) => failure.sentence);
      failures.push(...(lost.length > 0 ? lost : ["BIRD does not answer"]));
    }
    return { good: failures.length === 0, failures };
  },

  async confirm(kept, { files, routing }, signal) {
    const { generation, after } = read(kept);
    const versioned = versionedFile(generation);
    // Its being there says that a confirmation was begun: what was judged good stays, however often we die over it.
    const confirming = confirmingFile(generation);
    const begun = (await files.facts(confirming)) !== null;
    if (!begun && (await files.facts(versioned)) === null && (await hashOf(BOOT_FILE, files)) === after)
      return;
    const running = await routing.running(signal);
    const status = running ? await routing.status(signal) : null;
    const pending = status !== null && (status.undo_in_ms !== null || !status.known);
    if (!begun) {
      if (!pending)
        throw new FleetError(
          "FAILED",
          "BIRD's own undo timer ended or was stopped by somebody before the change was confirmed",
        );
      await files.rename(versioned, confirming);
    }
    if (pending) await routing.confirm(signal);
    else if (running) await routing.configure(files.real(confirming), null, signal);
    await files.rename(confirming, BOOT_FILE);
    await removeLeftovers(files);
  },

  async undo(kept, { files, routing }, signal) {
    const { boot, muster, after } = read(kept);
    // The file first: whatever BIRD does, the next boot is right.
    if (boot !== null) {
      const bytes = Buffer.from(boot.base64, "base64");
      if ((await hashOf(BOOT_FILE, files)) !== sha256(bytes)) {
        const { owner, group, mode } = boot;
        await files.replace(BOOT_FILE, bytes, { owner, group, mode });
      }
    } else if ((await hashOf(BOOT_FILE, files)) === after) await files.remove(BOOT_FILE);
    if (muster !== null && (await hashOf(MUSTER_FILE, files)) !== sha256(muster)) {
      const facts = await files.facts(MUSTER_FILE);
      await files.replace(MUSTER_FILE, Buffer.from(muster), facts === null ? FRESH_ATTRIBUTES : pick(facts));
    }
    await removeLeftovers(files);
    if (!(await routing.running(signal))) return;
    if (await undoPending(routing, signal)) return;
    if (boot !== null) await routing.configure(files.real(BOOT_FILE), null, signal);
  },

  async back(kept, { routing }, signal) {
    const { guarded, unguarded } = read(kept).baseline;
    // Under their old names again.
    const before = { guarded: guarded.map((each) => ({ ...each, after: each.session })), unguarded };
    const { sessions } = await routing.sessions(signal);
    return evaluateGuard(before, sessions).ok;
  },
};

/** True when BIRD's timer was pending and it went back by it; its memory is then exactly what it was, whatever the file said. */
async function undoPending(routing: Ports["routing"], signal: AbortSignal): Promise<boolean> {
  const status = await routing.status(signal);
  if (status.known && status.undo_in_ms === null) return false;
  try {
    await routing.undo(signal);
    return true;
  } catch (error) {
    // It ran out, or somebody stopped it, between question and order.
    if (error instanceof FleetError && error.code === "BIRD_REFUSED") return false;
    throw error;
  }
}

function comparison(config: string, { boot, includes, drain, daemon }: ObservedBird) {
  const { text } = wantedText(config, includes, drain);
  return {
    before: declaredIn(boot?.text ?? "", includes),
    after: declaredIn(text, includes),
    sessions: daemon?.sessions ?? [],
  };
}

function isFlappingIn(sessions: readonly Pick<ObservedBirdSession, "name" | "flaps">[]) {
  const flapping = new Set(
    sessions.filter(({ flaps }) => (flaps ?? 0) >= FLAPPING_FROM).map(({ name }) => name),
  );
  return (name: string) => flapping.has(name);
}

async function hashOf(path: string, files: Files): Promise<string | null> {
  const bytes = await files.read(path, CONFIG_BYTES);
  return bytes === null ? null : sha256(bytes);
}

const read = (kept: unknown): Snapshot => parse(Snapshot, kept, "kept state of bird/main");

/**
 * A drain as part of the configuration that is wanted: a constant in muster.conf where bird.conf includes that, else, if whoever drained it meant
 * so, sessions with other networks disabled in the text. Pure.
 */
import type { Step, ThrownSwitch } from "@muster/protocol";
import { disabling, withDisabled } from "../bird/disable.ts";
import { declaredIn, type Includes, MUSTER_FILE, saysDrained } from "./bird-files.ts";

/** The drain that is thrown, as far as BIRD is concerned. */
export type BirdDrain = { readonly by: string; readonly why: string; readonly disable: boolean };

export const birdDrain = (thrown: ThrownSwitch | null): BirdDrain | null =>
  thrown === null ? null : { by: thrown.by, why: thrown.why, disable: thrown.disable === true };

export type Wanted = { readonly text: string; readonly disables: readonly string[] };

/** The text for BIRD and the sessions that are disabled in it for the drain; the declared one while there is none. */
export function wantedText(config: string, includes: Includes, drain: BirdDrain | null): Wanted {
  if (drain?.disable !== true) return { text: config, disables: [] };
  const declared = declaredIn(config, includes);
  if (declared.muster_include) return { text: config, disables: [] };
  const { sessions, beyond } = disabling(config, declared);
  const disables = sessions.filter((name) => !beyond.includes(name));
  return { text: withDisabled(config, disables), disables };
}

/** Whether the drain constant that BIRD includes is another than the switch says; false while it is not there at all. */
export function turns(config: string, includes: Includes, drain: BirdDrain | null): boolean {
  const said = includes[MUSTER_FILE];
  if (said === null || said === undefined || !declaredIn(config, includes).muster_include) return false;
  return saysDrained(said) !== (drain !== null);
}

/** Sessions that `boot` has disabled over what is declared, which is the mark of such a drain; empty for any other text. */
export function disabledIn(boot: string, config: string, includes: Includes): readonly string[] {
  if (boot === config) return [];
  const { text, disables } = wantedText(config, includes, { by: "", why: "", disable: true });
  return boot === text ? disables : [];
}

/** Whether BIRD does as the drain says, by what was seen before these steps and what they do. */
export function inEffect(
  config: string,
  drain: BirdDrain,
  seen: { readonly boot: string | null; readonly includes: Includes },
  steps: readonly Step[],
): boolean {
  const { boot, includes } = seen;
  if (declaredIn(config, includes).muster_include) {
    const said = includes[MUSTER_FILE];
    return steps.some(({ args }) => args.drain === true) || (typeof said === "string" && saysDrained(said));
  }
  if (!drain.disable) return false;
  return boot === wantedText(config, includes, drain).text || steps.some(({ args }) => "disables" in args);
}

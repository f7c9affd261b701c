/**
 * Which routing daemon speaks BGP here, and what its configuration declares. BIRD where Muster manages it or its bird.conf declares a session; else FRR
 * where frr.conf declares one, else GoBGP where gobgpd.conf does; else FRR where it is there. What declares sessions is the one that is asked, also while it
 * is stopped: so that absence shows.
 */
import type { Bird } from "@muster/protocol";
import { FleetError } from "@muster/protocol/errors";
import type { DeclaredBird } from "../bird/declared.ts";
import { frrDeclared } from "../frr/declared.ts";
import type { Files } from "../ports/files.ts";
import type { Speaker } from "../ports/frr.ts";
import type { Ports } from "../ports/index.ts";
import { declaredIn, type Includes, missingIn, readIncludes, stillSo } from "../resources/bird-files.ts";

const BIRD_FILE = "/etc/bird/bird.conf";
const FRR_FILE = "/etc/frr/frr.conf";
const GOBGP_FILE = "/etc/gobgpd.conf";
const CONFIG_BYTES = 4 * 1024 * 1024;

const PORTS = { bird: "routing", frr: "frr", gobgp: "gobgp" } as const;
type Name = keyof typeof PORTS;
type Declared = Pick<DeclaredBird, "sessions" | "originated">;
export type Choice = Declared & {
  /** Which files could not be read, or what they include, and why: what they declared before stands. Null where all could. */
  readonly unread: string | null;
  readonly name: Name;
  readonly speaker: Speaker;
  readonly spec: Bird | null;
};

/** The daemon that is called so in its samples; null for a name that none has. */
export const speakerOf = (ports: Pick<Ports, (typeof PORTS)[Name]>, name: string): Speaker | null =>
  Object.hasOwn(PORTS, name) ? ports[PORTS[name as Name]] : null;

const NOTHING: Declared = { sessions: [], originated: [] };

/** Reads the files anew at each call; what has not changed is not parsed again. */
export function speakerHere(ports: Ports): (spec: Bird | null) => Promise<Choice> {
  const read = async (path: string) =>
    (await ports.files.read(path, CONFIG_BYTES, "follow"))?.toString("utf8") ?? "";
  const [birdWithin, frrWithin] = [birdOf(ports.files), kept(frrDeclared)];
  let gobgpWithin: ((text: string) => Declared) | null = null;
  const birdIn = standing(BIRD_FILE, async (spec: Bird | null) =>
    birdWithin(spec?.config ?? (await read(BIRD_FILE))),
  );
  const frrIn = standing(FRR_FILE, async () => whole(frrWithin(await read(FRR_FILE))));
  /** Null where there is no such file. What reads it is loaded with the first. */
  const gobgpIn = standing(GOBGP_FILE, async (): Promise<Told<Declared>> => {
    const text = await read(GOBGP_FILE);
    if (text === "") return whole<Declared>(null);
    gobgpWithin ??= kept((await import("../gobgp/declared.ts")).gobgpDeclared);
    return whole(gobgpWithin(text));
  });
  return async (spec) => {
    const unread: string[] = [];
    const told = <T>({ found, why }: Told<T>): T | null => {
      if (why !== null) unread.push(why);
      return found;
    };
    const chosen = (name: Name, declared: Declared | null): Choice => ({
      ...(declared ?? NOTHING),
      ...{ name, speaker: ports[PORTS[name]], spec },
      unread: unread.length === 0 ? null : unread.join("; "),
    });
    const bird = told(await birdIn(spec));
    if (spec !== null || (bird?.sessions.length ?? 0) > 0) return chosen("bird", bird);
    const frr = told(await frrIn(null));
    if ((frr?.sessions.length ?? 0) > 0) return chosen("frr", frr);
    const gobgp = await gobgpIn(null);
    const declared = told(gobgp);
    if (declared !== null || gobgp.why !== null) return chosen("gobgp", declared);
    return (await ports.frr.present()) ? chosen("frr", frr) : chosen("bird", bird);
  };
}

/** `why`: what of it could not be read; null = nothing. */
type Told<T> = { readonly found: T | null; readonly why: string | null };
const whole = <T>(found: T | null): Told<T> => ({ found, why: null });

/** What a file declares; while it cannot be read, or not all of it, what it declared before, and why. */
function standing<T>(
  path: string,
  read: (spec: Bird | null) => Promise<Told<T>>,
): (spec: Bird | null) => Promise<Told<T>> {
  let last: T | null = null;
  return async (spec) => {
    try {
      const told = await read(spec);
      if (told.why === null) last = told.found;
      return { found: last ?? told.found, why: told.why };
    } catch (error) {
      if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
      return { found: last, why: `${path} cannot be read: ${error.detail || error.message}` };
    }
  };
}

function kept(parse: (text: string) => Declared): (text: string) => Declared {
  let last: { readonly text: string; readonly found: Declared } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, found: parse(text) };
    return last.found;
  };
}

/** With the sessions of what bird.conf includes; parsed again when one of the files has changed. */
function birdOf(files: Files): (text: string) => Promise<Told<Declared>> {
  let last: { readonly text: string; readonly includes: Includes; readonly told: Told<Declared> } | null =
    null;
  return async (text) => {
    if (last?.text === text && (await stillSo(last.includes, files))) return last.told;
    const includes = await readIncludes(text, files);
    const missing = missingIn(includes);
    const why =
      missing.length === 0
        ? null
        : `${BIRD_FILE} includes ${missing.slice(0, 3).join(", ")}, which is not there or too large`;
    last = { text, includes, told: { found: declaredIn(text, includes), why } };
    return last.told;
  };
}

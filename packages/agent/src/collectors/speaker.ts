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
import { declaredIn, type Includes, readIncludes, stillSo } from "../resources/bird-files.ts";

const BIRD_FILE = "/etc/bird/bird.conf";
const FRR_FILE = "/etc/frr/frr.conf";
const GOBGP_FILE = "/etc/gobgpd.conf";
const CONFIG_BYTES = 4 * 1024 * 1024;

const PORTS = { bird: "routing", frr: "frr", gobgp: "gobgp" } as const;
type Name = keyof typeof PORTS;
type Declared = Pick<DeclaredBird, "sessions" | "originated">;
export type Choice = Declared & {
  readonly name: Name;
  readonly speaker: Speaker;
  readonly spec: Bird | null;
};

/** The daemon that is called so in its samples; null for a name that none has. */
export const speakerOf = (ports: Pick<Ports, (typeof PORTS)[Name]>, name: string): Speaker | null =>
  Object.hasOwn(PORTS, name) ? ports[PORTS[name as Name]] : null;

/** Reads the files anew at each call; what has not changed is not parsed again. */
export function speakerHere(ports: Ports): (spec: Bird | null) => Promise<Choice> {
  const read = async (path: string) =>
    (await ports.files.read(path, CONFIG_BYTES, "follow"))?.toString("utf8") ?? "";
  const [birdIn, frrIn] = [birdWithin(ports.files), kept(frrDeclared)];
  let gobgpIn: ((text: string) => Declared) | null = null;
  /** Null where there is no such file. What reads it is loaded with the first. */
  const gobgpHere = async (): Promise<Declared | null> => {
    const text = await read(GOBGP_FILE);
    if (text === "") return null;
    gobgpIn ??= kept((await import("../gobgp/declared.ts")).gobgpDeclared);
    return gobgpIn(text);
  };
  return async (spec) => {
    const chosen = (name: Name, declared: Declared): Choice => ({
      ...declared,
      ...{ name, speaker: ports[PORTS[name]], spec },
    });
    const bird = await birdIn(spec?.config ?? (await read(BIRD_FILE)));
    if (spec !== null || bird.sessions.length > 0) return chosen("bird", bird);
    const frr = frrIn(await read(FRR_FILE));
    if (frr.sessions.length > 0) return chosen("frr", frr);
    const gobgp = await gobgpHere();
    if (gobgp !== null) return chosen("gobgp", gobgp);
    return (await ports.frr.present()) ? chosen("frr", frr) : chosen("bird", bird);
  };
}

function kept(parse: (text: string) => Declared): (text: string) => Declared {
  let last: { readonly text: string; readonly found: Declared } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, found: parse(text) };
    return last.found;
  };
}

/** With the sessions of what bird.conf includes; parsed again when one of the files has changed. While one cannot be read, what was declared before stands. */
function birdWithin(files: Files): (text: string) => Promise<Declared> {
  let last: { readonly text: string; readonly includes: Includes; readonly found: Declared } | null = null;
  return async (text) => {
    try {
      if (last?.text === text && (await stillSo(last.includes, files))) return last.found;
      const includes = await readIncludes(text, files);
      last = { text, includes, found: declaredIn(text, includes) };
    } catch (error) {
      if (!(error instanceof FleetError)) throw error;
      return last?.found ?? { sessions: [], originated: [] };
    }
    return last.found;
  };
}

/** Every command, once: what it is for, and where it is loaded from when it is typed. */
import type { Command } from "../program/command.ts";

type Entry = { readonly summary: string; load(): Promise<Command> };

/** In the order in which the help shows them. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  whoami: {
    summary: "who you are to the fleet, and until when",
    load: async () => (await import("./whoami.ts")).whoami,
  },
};

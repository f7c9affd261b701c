/** Every command, once: what it is for, and where it is loaded from when it is typed. */
import type { Command } from "../program/command.ts";

type Entry = { readonly summary: string; load(): Promise<Command> };

/** In the order in which the help shows them. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  init: { summary: "make a fleet, or finish making it", load: async () => (await import("./init.ts")).init },
  login: { summary: "log in for eight hours", load: async () => (await import("./login.ts")).login },
  logout: { summary: "end the log-in", load: async () => (await import("./logout.ts")).logout },
  whoami: {
    summary: "who you are to the fleet, and until when",
    load: async () => (await import("./whoami.ts")).whoami,
  },
  operator: {
    summary: "the people of the fleet",
    load: async () => (await import("./operator.ts")).operator,
  },
  join: {
    summary: "strings with which machines join the fleet",
    load: async () => (await import("./join.ts")).join,
  },
  enrol: { summary: "machines that wait for approval", load: async () => (await import("./enrol.ts")).enrol },
};

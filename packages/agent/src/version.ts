/** The agent's own version: set by the bundler, `source` when run from the tree. */
declare const __VERSION__: string | undefined;

export const AGENT_VERSION = typeof __VERSION__ === "string" ? __VERSION__ : "source";

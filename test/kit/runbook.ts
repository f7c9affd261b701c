/** The commands of a runbook page, as they stand there, so that a test runs just these: `owner$ vault status   # what for`, `a# systemctl start vault`. */
import { readFileSync } from "node:fs";

export type Step = {
  /** Who types it: `owner` on a laptop, or the name of a server, there as root. */
  readonly who: string;
  readonly line: string;
  /** What stands behind it. */
  readonly note: string;
};

export type Runbook = {
  /** The steps of the `at`-th block beneath a heading. Counts as run. */
  block(heading: string, at?: number): Step[];
  /** `heading/at` of what no test has run. */
  left(): string[];
};

export function openRunbook(page: string): Runbook {
  const text = readFileSync(new URL(`../../docs/runbook/${page}.md`, import.meta.url), "utf8");
  const blocks = new Map<string, Step[]>();
  for (const section of text.split(/^## /m).slice(1)) {
    const heading = section.split("\n", 1)[0] ?? "";
    const steps = [...section.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, body = ""]) => stepsOf(body));
    for (const [at, found] of steps.filter((found) => found.length > 0).entries())
      blocks.set(`${heading}/${at}`, found);
  }
  const run = new Set<string>();
  return {
    block(heading, at = 0) {
      const key = `${heading}/${at}`;
      const found = blocks.get(key);
      if (found === undefined) throw new Error(`${page}.md has no block ${key}`);
      run.add(key);
      return found;
    },
    left: () => [...blocks.keys()].filter((key) => !run.has(key)),
  };
}

function stepsOf(body: string): Step[] {
  return body.split("\n").flatMap((text) => {
    const match = /^([a-z][a-z0-9]*)[$#] (\S.*?)(?: {2,}# (.*))?$/.exec(text);
    return match === null ? [] : [{ who: match[1] ?? "", line: match[2] ?? "", note: match[3] ?? "" }];
  });
}

/**
 * Holds the architecture: the arrows between packages, one port per library, no circles, no vague names. The checker
 * itself is tried on small wrong trees first, so that this test can fail.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { complaints, type Source } from "../../scripts/architecture.ts";
import { suite } from "../kit/suite.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A tree of one-line files, by their path below packages/. */
function tree(files: Record<string, string>): Source[] {
  return Object.entries(files).map(([path, text]) => ({ path: `packages/${path}`, text }));
}

/** The wrong tree, and what the only complaint about it has to say. */
const wrong: Record<string, [Record<string, string>, RegExp]> = {
  "agent imports controller": [
    { "agent/src/a.ts": 'import { x } from "@muster/controller/x";' },
    /agent may import only protocol and ports/,
  ],
  "ctl imports agent, types only": [
    { "ctl/src/a.ts": 'import type { x } from "@muster/agent/x";' },
    /ctl may import only/,
  ],
  "ports imports agent": [
    { "ports/src/a.ts": 'export * from "@muster/agent/x";' },
    /ports may import only protocol/,
  ],
  "protocol imports ports": [
    { "protocol/src/a.ts": 'import "@muster/ports/bus";' },
    /may import no other package/,
  ],
  "a package imports itself by name": [
    { "agent/src/a.ts": 'import { x } from "@muster/agent/b";' },
    /imports are relative/,
  ],
  "a relative import leaves its package": [
    { "agent/src/a.ts": 'import { x } from "../../ctl/src/b.ts";' },
    /stays inside its package/,
  ],
  "a lazy import of the wrong package": [
    { "ctl/src/a.ts": 'const b = await import("@muster/agent/b");' },
    /ctl may import only/,
  ],
  "an import over several lines": [
    { "agent/src/a.ts": 'import {\n  a,\n  type b,\n} from "@muster/ctl/x";' },
    /agent may import only/,
  ],
  "protocol reads files": [
    { "protocol/src/a.ts": 'import { readFile } from "node:fs/promises";' },
    /is the leaf/,
  ],
  "what a browser runs reads files": [
    { "view/src/a.ts": 'import { readFile } from "node:fs/promises";' },
    /a browser, which runs this too/,
  ],
  "the page imports ctl": [
    { "dashboard/src/a.ts": 'import { x } from "@muster/ctl/x";' },
    /dashboard may import only protocol and view/,
  ],
  "protocol uses a library": [{ "protocol/src/a.ts": 'import { parse } from "yaml";' }, /is the leaf/],
  "a module of Node without its prefix": [
    { "agent/src/a.ts": 'import { join } from "path";' },
    /write node:path/,
  ],
  "a library in two files of a package": [
    {
      "ctl/src/a.ts": 'import { parse } from "yaml";',
      "ctl/src/b/c.ts": 'import type { Node } from "yaml/types";',
    },
    /^yaml is imported in packages\/ctl\/src\/a.ts and packages\/ctl\/src\/b\/c.ts/,
  ],
  "a library that has its port in ports": [
    {
      "ports/src/bus.ts": 'import { connect } from "nats";',
      "agent/src/a.ts": 'import type { Msg } from "nats";',
    },
    /@muster\/ports has the port/,
  ],
  "listeners without a limit": [
    { "agent/src/a.ts": 'import { setMaxListeners } from "node:events";\nsetMaxListeners(0, signal);' },
    /a leak of listeners is never told/,
  ],
  "a circle": [
    {
      "agent/src/a.ts": 'import { b } from "./b/b.ts";',
      "agent/src/b/b.ts": 'import { c } from "../c.ts";',
      "agent/src/c.ts": 'export { a } from "./a.ts";',
    },
    /a.ts → packages\/agent\/src\/b\/b.ts → packages\/agent\/src\/c.ts → packages\/agent\/src\/a.ts/,
  ],
  "a default export": [{ "agent/src/a.ts": "export default function run() {}" }, /has a default export/],
  "a renamed default export": [{ "agent/src/a.ts": "export { run as default };" }, /has a default export/],
  "a file of utilities": [{ "agent/src/bird/parse-utils.ts": "" }, /"parse-utils" says nothing/],
  "a folder of helpers": [{ "agent/src/helpers/x.ts": "" }, /"helpers" says nothing/],
  "a manager": [{ "agent/src/session-manager.ts": "" }, /"session-manager" says nothing/],
};

suite("architecture: the checker", (test) => {
  for (const [title, [files, expected]] of Object.entries(wrong)) {
    test(`complains once: ${title}`, () => {
      const found = complaints(tree(files));
      assert.is(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", expected);
    });
  }

  test("has nothing against a right tree", () => {
    const right = tree({
      "protocol/src/a.ts":
        '/**\n * import { x } from "@muster/agent";\n */\nimport { z } from "zod";\nimport "node:crypto";',
      "protocol/src/b.ts": 'import { z } from "zod";\n// export default x\nimport type { A } from "./c.ts";',
      "protocol/src/c.ts": 'import { b } from "./b.ts";',
      "agent/src/a.ts":
        'import { bus } from "@muster/ports/bus";\nimport { execa } from "execa";\nimport "node:fs";',
      "ctl/src/shell.ts": 'import { execa } from "execa";\nimport { p } from "@muster/protocol";',
      "ctl/src/main.ts": 'const plan = () => import("./plan.ts");\nexport const main = 1;',
      "ctl/src/plan.ts": 'import { main } from "./main.ts";',
    });
    assert.equal(complaints(right), []);
  });
});

suite("architecture: this tree", (test) => {
  test("keeps the rules", () => {
    const sources = readdirSync(join(root, "packages"), { recursive: true, encoding: "utf8" })
      .map((path) => `packages/${path}`)
      .filter((path) => /^packages\/[^/]+\/src\/.*\.tsx?$/.test(path))
      .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));
    assert.ok(sources.length > 0, "no sources found: the test looks in the wrong place");
    const found = complaints(sources);
    assert.is(found.length, 0, `\n${found.join("\n")}\n`);
  });
});

/** Every template under test/golden/inventory/jinja renders byte for byte as Python's Jinja2 3.1.6 with Ansible's settings did. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import {
  type Dict,
  fileSource,
  TemplateEngine,
  type TemplateSource,
  type Value,
} from "../../../../packages/ctl/src/inventory/jinja.ts";
import { suite } from "../../../kit/suite.ts";

const folder = fileURLToPath(new URL("../../../golden/inventory/jinja", import.meta.url));
const read = (name: string) => readFileSync(join(folder, name), "utf8");
const names = readdirSync(folder).filter((name) => name.endsWith(".j2"));
const sources = new Map<string, TemplateSource>();
for (const name of [...names, ...readdirSync(join(folder, "lib")).map((file) => `lib/${file}`)])
  sources.set(name, fileSource(name, read(name)));

function value(json: unknown): Value {
  if (Array.isArray(json)) return json.map(value);
  if (typeof json === "object" && json !== null)
    return new Map(Object.entries(json).map(([k, v]) => [k, value(v)])) as Dict;
  return json as Value;
}

suite("templates render as Jinja2 does", (test) => {
  const all = value(JSON.parse(read("vars.json"))) as Dict;
  // JSON has no float type of its own.
  const variables = { get: (name: string) => all.get(name), names: () => [...all.keys()].map(String) };
  for (const name of names) {
    test(name, () => {
      const source = sources.get(name);
      if (source === undefined) throw new Error(name);
      const { value: text, faults } = new TemplateEngine((other) => sources.get(other)).render(
        source,
        variables,
      );
      assert.equal(faults, []);
      assert.is(text, read(name.replace(/j2$/, "out")));
    });
  }
  test("there are enough of them", () => assert.ok(names.length >= 25));
});

/** What the goldens cannot show: errors and their places, strict undefined, limits. */
import * as assert from "uvu/assert";
import { fileSource, TemplateEngine, type Value } from "../../../../packages/ctl/src/inventory/jinja.ts";
import { suite } from "../../../kit/suite.ts";

const known = new Map<string, Value>([
  ["host", "ixp1"],
  ["sessions", new Map<Value, Value>([["up", new Map<Value, Value>([["as", 64496]])]])],
  ["list", Object.freeze([1, 2]) as Value[]],
]);

function faults(text: string, files: Record<string, string> = {}): string[] {
  const sources = new Map(Object.entries(files).map(([name, content]) => [name, fileSource(name, content)]));
  const variables = { get: (name: string) => known.get(name), names: () => known.keys() };
  const { value, faults } = new TemplateEngine((name) => sources.get(name)).render(
    fileSource("t", text),
    variables,
  );
  assert.is(value === null, faults.length > 0);
  return faults.map((each) => `${each.file}:${each.line}:${each.column} ${each.message}`);
}

suite("strict undefined", (test) => {
  for (const [text, fault] of [
    ["{{ nope }}", "t:1:4 `nope` is undefined"],
    ["\n  {{ hots }}", "t:2:6 `hots` is undefined; did you mean `host`?"],
    ["{% if nope %}x{% endif %}", "t:1:7 `nope` is undefined"],
    ["{% for x in nope %}x{% endfor %}", "t:1:13 `nope` is undefined"],
    ["{{ nope.a.b }}", "t:1:4 `nope` is undefined"],
    ["{{ sessions.down.as }}", "t:1:13 `sessions.down` is undefined; it has `up`"],
    ["{{ sessions.up.neighbor }}", "t:1:16 `sessions.up.neighbor` is undefined; it has `as`"],
    ["{{ sessions['uq'] }}", 't:1:13 `sessions["uq"]` is undefined; did you mean `up`?'],
    ["{{ 'a' ~ nope }}", "t:1:10 `nope` is undefined"],
    ["{{ nope | upper }}", "t:1:4 `nope` is undefined"],
    ["{{ nope == 1 }}", "t:1:4 `nope` is undefined"],
    ["{{ not nope }}", "t:1:8 `nope` is undefined"],
    ["{{ [1, nope] | join }}", "t:1:8 `nope` is undefined"],
    ["{{ nope.a | default(1) }}", "t:1:4 `nope` is undefined"],
    ["{{ list[5] }}", "t:1:9 `list[5]` is undefined: the list has 2 items"],
  ] as const)
    test(text, () => assert.equal(faults(text), [fault]));

  test("is defined and default work", () => {
    assert.equal(faults("{{ nope is defined }}{{ nope | default(1) }}{{ sessions.x is undefined }}"), []);
  });
  test("all undefined names of a template are found, also in what it includes", () => {
    const found = faults("{{ a }}\n{% include 'i' %}\n{% if true %}{{ b }}{% endif %}", { i: "x\n {{ c }}" });
    assert.equal(found, ["t:1:4 `a` is undefined", "i:2:5 `c` is undefined", "t:3:17 `b` is undefined"]);
  });
  test("an argument that a macro was not given is named where it is used", () => {
    assert.equal(faults("{% macro m(x) %}{{ x }}{% endmacro %}{{ m() }}"), [
      "t:1:20 `m` was called without `x`",
    ]);
  });
});

suite("errors of templates", (test) => {
  for (const [text, fault] of [
    ["{% if x %}", "t:1:4 this `if` has no `endif`"],
    ["a\n{% endfor %}", "t:2:4 `endfor` has no beginning; no block is open here"],
    ["{% fro x in y %}", "t:1:4 unknown tag `fro`; did you mean `for`?"],
    ["{{ host | uper }}", "t:1:11 unknown filter `uper`; did you mean `upper`?"],
    ["{{ (1 }}", "t:1:7 `}` closes a `(`"],
    ["{{ 1 +", "t:1:1 this tag has no end: }}"],
    ["{# x", "t:1:1 this comment has no end: #}"],
    ["{{ }}", "t:1:4 expected an expression, found the end of the tag `}}`"],
    ["{{ 1 / 0 }}", "t:1:4 division by zero"],
    ["{{ 'a' + 1 }}", "t:1:4 `+` does not work on a string and a number; `~` joins values as text"],
    [
      "{{ lookup('env', 'HOME') }}",
      "t:1:4 `lookup` does not exist here: a rendered folder depends on its files alone",
    ],
    ["{% include 'none' %}", "t:1:4 no template `none` in templates/"],
    ["{{ list.append(3) }}", "t:1:9 a list of the inventory cannot be changed; build a new one with `+`"],
    ["{{ host.constructor }}", "t:1:9 `host.constructor` is undefined"],
    ["{{ host.__proto__ }}", "t:1:9 `host.__proto__` is undefined"],
  ] as const)
    test(text, () => assert.equal(faults(text), [fault]));
});

suite("limits of templates", (test) => {
  test("loops, text, recursion and nesting end", () => {
    assert.match(faults("{{ range(10 ** 9) }}")[0] ?? "", "the limit is 100000");
    assert.match(faults("{{ 'x' * 10 ** 9 }}")[0] ?? "", "too long");
    assert.match(
      faults(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% set c = a %}{% endfor %}{% endfor %}",
      )[0] ?? "",
      "too many steps",
    );
    assert.match(
      faults("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")[0] ?? "",
      "call each other without end",
    );
    assert.match(
      faults("{% include 'i' %}", { i: "{% include 'i' %}" })[0] ?? "",
      "call each other without end",
    );
    assert.match(faults("{% if true %}".repeat(500))[0] ?? "", "nested deeper");
    assert.match(faults(`{{ ${"(".repeat(20_000)}1${")".repeat(20_000)} }}`)[0] ?? "", "nested deeper");
    assert.match(faults(`{{ 1${" + 1".repeat(20_000)} }}`)[0] ?? "", "over 1000 parts");
    assert.match(faults(`{{ ${"not ".repeat(20_000)}1 }}`)[0] ?? "", "nested deeper");
    assert.match(faults(`{{ ${"- ".repeat(20_000)}1 }}`)[0] ?? "", "nested deeper");
    assert.match(faults(`{{ list${"[0]".repeat(20_000)} }}`)[0] ?? "", "over 1000 parts");
  });
});

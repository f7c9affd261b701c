/** Terminal text as SVG: colours, places in columns, letters that XML keeps for itself; and that the README shows every picture that is made. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { openColour } from "../../packages/ctl/src/output/colour.ts";
import { pictures, piecesOf, terminal } from "../../scripts/pictures.ts";
import { suite } from "../kit/suite.ts";

suite("pictures", (test) => {
  const { red, bold } = openColour(true);

  test("a colour lasts to its end", () => {
    const pieces = piecesOf(`a ${red("b")} ${bold("c")}d`).map(({ text, style }) => [
      text,
      style.fill,
      style.bold,
    ]);
    const [plain, painted] = [pieces[0]?.[1], pieces[1]?.[1]];
    assert.equal(pieces, [
      ["a ", plain, false],
      ["b", painted, false],
      [" ", plain, false],
      ["c", plain, true],
      ["d", plain, false],
    ]);
    assert.is.not(plain, painted);
  });

  test("a word stands in its column, whatever is before it, and XML stays whole", () => {
    const place = (text: string) => /x="([\d.]+)"[^>]*>&lt;&amp;here/.exec(terminal("t", [text]))?.[1];
    assert.type(place("aaaa  <&here"), "string");
    assert.is(place(`${red("aa")}aa  <&here`), place("aaaa  <&here"));
    assert.not.match(terminal("t", ["<&here"]), /<&/);
  });

  test("the README shows them all, and they are light", () => {
    const readme = readFileSync(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8");
    for (const [path, text] of pictures()) {
      assert.ok(readme.includes(`(${path})`), path);
      assert.ok(text.length < 20_000, `${path} has ${text.length} bytes`);
    }
  });
});

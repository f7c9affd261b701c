/** Schemas as rows of a table, and the check that every field says what it is for. */
import * as assert from "uvu/assert";
import { z } from "zod";
import { fieldsOf } from "../../../../packages/ctl/src/docs/fields.ts";
import { jsonSchemaOf, undescribed } from "../../../../packages/protocol/src/json-schema.ts";
import { suite } from "../../../kit/suite.ts";

const Named = z.string().describe("A name.");

suite("fields of a schema", (test) => {
  test("each has its path, form, default and meaning", () => {
    const schema = z.strictObject({
      count: z.int().min(1).max(9).default(3).describe("How many."),
      to: z.union([z.strictObject({ host: Named }), z.enum(["all"])]).describe("Whom."),
      notes: z.array(z.object({ text: Named })).describe("Notes."),
      sizes: z
        .record(z.string(), z.object({ kib: z.number().optional().describe("Size.") }))
        .describe("By name."),
    });
    assert.equal(
      fieldsOf(jsonSchemaOf(schema)).map(({ path, form, otherwise, meaning }) => [
        path,
        form,
        otherwise,
        meaning,
      ]),
      [
        ["count", "integer 1 to 9", "3", "How many."],
        ["to", "{ host } or all", "required", "Whom."],
        ["to.host", "text", "required", "A name."],
        ["notes", "list of { text }", "required", "Notes."],
        ["notes[].text", "text", "required", "A name."],
        ["sizes", "map of { kib }", "required", "By name."],
        ["sizes.NAME.kib", "number", "-", "Size."],
      ],
    );
  });

  test("a part that is described elsewhere is named, also when it may be null or has words of its own", () => {
    const Part = z.object({ silent: z.string() });
    const schema = z.object({ a: Part.nullable(), b: Part.describe("Mine.") });
    const json = jsonSchemaOf(schema, "output", new Map([[Part, "part"]]));
    assert.equal(
      fieldsOf(json).map(({ form }) => form),
      ["see part or null", "see part"],
    );
    assert.equal(undescribed(json), []);
  });

  test("a field without a description is found, wherever it is", () => {
    const schema = z.object({
      good: Named.nullable(),
      bad: z.string().optional(),
      deep: z.array(z.record(z.string(), z.object({ bad: z.number() }))).describe("Deep."),
      choice: z.union([z.object({ good: Named }), z.object({ bad: z.boolean() })]).describe("One of two."),
    });
    assert.equal(undescribed(jsonSchemaOf(schema)), ["bad", "deep[].*.bad", "choice.bad"]);
  });
});

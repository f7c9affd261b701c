/** `ctl docs`: what can be written and what is meant, from the same schemas that check it. Needs no fleet. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { type Topic, topicOf, topics } from "../docs/topics.ts";
import { findFleetFolder } from "../inventory/folder.ts";
import {
  alertsSchema,
  monitoringSchema,
  musterSchema,
  resourcesSchema,
  SCHEMA_FILES,
} from "../inventory/schema.ts";
import { tableLines } from "../output/table.ts";
import { defineCommand } from "../program/command.ts";
import type { Context } from "../program/context.ts";

export const docs = defineCommand({
  name: "docs",
  args: "[topic] [name]",
  options: {
    schema: {
      flag: "--schema",
      help: `write the JSON Schemas for editors into the folder: ${Object.values(SCHEMA_FILES).join(", ")}`,
    },
  },
  example: `ctl docs                     what there is to read
ctl docs bird                every field of a kind
ctl docs error OVERWRITE     what an error means
ctl docs rpc bgp             request and reply of a method
ctl docs --schema            so that your editor knows muster.yml and resources/`,
  async run(context, { args, options }) {
    const { output } = context;
    if (options.schema) return writeSchemas(context);
    const [word, name] = args;
    if (word === undefined) {
      output.table(topics(), [
        { title: "CTL DOCS", value: (row) => row.words },
        { title: "", value: (row) => row.summary },
      ]);
      output.json(topics());
      return undefined;
    }
    const topic = topicOf(word, name);
    for (const line of topicLines(topic, context)) output.line(line);
    output.json(topic);
    return undefined;
  },
});

function topicLines(topic: Topic, { output }: Context): string[] {
  const { bold } = output.colour;
  return [
    bold(topic.title),
    ...topic.text,
    ...topic.tables.flatMap(({ title, columns, rows }) => [
      "",
      ...(title === "" ? [] : [bold(title)]),
      ...tableLines(
        rows,
        columns.map((column, at) => ({ title: column, value: (row: readonly string[]) => row[at] ?? "" })),
      ),
    ]),
  ];
}

/** Into the folder around, where there is one; as the result itself with `--json`. */
async function writeSchemas({ cwd, output }: Context): Promise<undefined> {
  const schemas = [
    [SCHEMA_FILES.muster, musterSchema()],
    [SCHEMA_FILES.resources, resourcesSchema()],
    [SCHEMA_FILES.alerts, alertsSchema()],
    [SCHEMA_FILES.monitoring, monitoringSchema()],
  ] as const;
  if (output.form === "json" || output.form === "yaml") {
    output.json(Object.fromEntries(schemas));
    return undefined;
  }
  const root = await findFleetFolder(cwd);
  if (root === null)
    throw new FleetError("USAGE", "no fleet folder here to write them into; with --json they are printed");
  for (const [path, schema] of schemas) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), `${JSON.stringify(schema, undefined, 1)}\n`);
    output.line(join(root, path));
  }
  output.line("the first line of muster.yml: # yaml-language-server: $schema=./.schema/muster.json");
  output.line("of alerts.yml:                # yaml-language-server: $schema=./.schema/alerts.json");
  output.line("of monitoring.yml:            # yaml-language-server: $schema=./.schema/monitoring.json");
  output.line("of each file in resources/:   # yaml-language-server: $schema=../.schema/resources.json");
  return undefined;
}

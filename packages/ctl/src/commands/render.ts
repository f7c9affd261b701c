/** `ctl render`: writes what the templates become, for the eye and for other programs. Needs no log-in and no network. */
import { join } from "node:path";
import { writeChanged } from "../fleet/disk.ts";
import { compileFleet } from "../inventory/fleet.ts";
import { selectHosts } from "../inventory/selectors.ts";
import { countText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { contentLine, otherLines, renderedFiles } from "../report/rendered.ts";
import { requireFolder } from "../roster/roster.ts";

export const render = defineCommand({
  name: "render",
  args: "[selector]",
  options: {
    out: { flag: "--out <dir>", help: "write DIR/HOST/PATH and DIR/HOST.json instead of printing" },
    only: { flag: "--only <ref>", help: "only this KIND/NAME; may be repeated", many: true },
  },
  example: `ctl render ixp1 --only bird/main
ctl render --out /tmp/rendered && diff -r /tmp/before /tmp/rendered`,
  async run(context, { args, options }) {
    const { output } = context;
    const loaded = await (await requireFolder(context)).load();
    compileFleet(loaded, []);
    const { fleet } = loaded;
    const not = context.global.not === undefined ? [] : [context.global.not];
    const names = selectHosts(
      [...fleet.hosts.values()],
      [...fleet.inventory.groups.keys()],
      args[0] ?? "all",
      not,
    );
    const chosen = (ref: string) => options.only.length === 0 || options.only.includes(ref);
    const compiled = compileFleet(loaded, names).map((host) => ({
      ...host,
      resources: host.resources.filter((resource) => chosen(`${resource.kind}/${resource.name}`)),
    }));
    const files = renderedFiles(compiled, fleet.contents);
    output.json(compiled);
    if (options.out === undefined) {
      for (const host of compiled) {
        for (const file of files.filter((each) => each.host === host.host)) {
          output.line(
            output.colour.bold(
              `# ${file.host} ${file.ref}${file.ref.startsWith("file/") ? "" : ` → ${file.path}`}`,
            ),
          );
          output.line(contentLine(file.content));
        }
        for (const line of otherLines(host)) output.line(`${output.colour.bold(`# ${host.host}`)} ${line}`);
      }
      return undefined;
    }
    let written = 0;
    for (const file of files)
      if (await writeChanged(join(options.out, file.host, file.path), file.content ?? "")) written += 1;
    for (const host of compiled)
      if (
        await writeChanged(join(options.out, `${host.host}.json`), `${JSON.stringify(host, undefined, 2)}\n`)
      )
        written += 1;
    output.line(
      `${options.out}  ${countText(written, "file")} written, ${files.length + compiled.length - written} as they were`,
    );
    return undefined;
  },
});

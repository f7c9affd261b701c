/** `ctl prometheus`: alert rules, and dashboards for Grafana, for the hosts of the folder. Needs no log-in and no network. */
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { writeChanged } from "../fleet/disk.ts";
import { yamlText } from "../inventory/yaml.ts";
import { countText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { requireFolder } from "../roster/roster.ts";

/** They hold no secret, and Grafana runs as a user of its own. */
const MODE = 0o644;

export const prometheus = defineCommand({
  name: "prometheus",
  args: "<rules|dashboards>",
  options: { out: { flag: "--out <dir>", help: "where the dashboards go, a file each" } },
  example: `ctl prometheus rules > /etc/prometheus/muster.rules.yml
ctl prometheus dashboards --out /var/lib/grafana/dashboards
The metrics themselves are at http://127.0.0.1:9464/metrics of a controller's server (its configuration says where)`,
  async run(context, { args: [what = ""], options: { out } }) {
    const { output } = context;
    if (what === "rules") {
      if (out !== undefined) throw new FleetError("USAGE", "the rules are printed: no --out");
      const { ruleFile, rulesFor } = await import("../prometheus/rules.ts");
      const { fleet } = await (await requireFolder(context)).load();
      const file = ruleFile(fleet.name, rulesFor([...fleet.hosts.keys()].sort()));
      output.line(yamlText(file).trimEnd());
      output.json(file);
      return undefined;
    }
    if (what !== "dashboards")
      throw new FleetError("USAGE", `no "${what}" for Prometheus; there are rules and dashboards`);
    if (out === undefined) throw new FleetError("USAGE", "say where the dashboards go: --out DIR");
    const { DASHBOARDS, dashboardFile } = await import("../prometheus/dashboards.ts");
    const { fleet } = await (await requireFolder(context)).load();
    const hosts = [...fleet.hosts.keys()].sort();
    const changed = await Promise.all(
      DASHBOARDS.map((each) => {
        const text = JSON.stringify(dashboardFile(fleet.name, hosts, each), undefined, 2);
        return writeChanged(join(out, `${each.uid}.json`), `${text}\n`, MODE);
      }),
    );
    const written = DASHBOARDS.filter((_, at) => changed[at]).map(({ uid }) => `${uid}.json`);
    output.line(
      `${out}  ${countText(written.length, "file")} written, ${changed.length - written.length} as they were`,
    );
    output.json({ out, written });
    return undefined;
  },
});

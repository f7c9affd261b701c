/** `ctl prometheus`: alert rules, dashboards for Grafana, and what is to be scraped, for the hosts of the folder. Needs no log-in and no network. */
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
  args: "<rules|dashboards|targets>",
  options: { out: { flag: "--out <dir>", help: "where the dashboards go, a file each" } },
  example: `ctl prometheus rules > /etc/prometheus/muster.rules.yml
ctl prometheus dashboards --out /var/lib/grafana/dashboards
ctl prometheus targets         what http://127.0.0.1:9464/sd of a controller's server will say once it is applied
The metrics themselves are at http://127.0.0.1:9464/metrics of a controller's server (its configuration says where)`,
  async run(context, { args: [what = ""], options: { out } }) {
    const { output } = context;
    if (what === "targets") {
      const { targetGroups } = await import("@muster/protocol/monitoring");
      const { fleet } = await (await requireFolder(context)).load();
      const groups = targetGroups(fleet.monitoring, fleet.name);
      output.table(groups, [
        { title: "JOB", value: ({ labels }) => labels.job ?? "" },
        { title: "HOST", value: ({ labels }) => labels.host ?? "" },
        {
          title: "AT",
          value: ({ targets, labels }) => `${labels.__scheme__}://${targets}${labels.__metrics_path__}`,
        },
      ]);
      if (groups.length === 0)
        output.note(
          'nothing is to be scraped: `metrics: ":9100"` at a service, a container, or in monitoring.yml',
        );
      output.json(groups);
      return undefined;
    }
    if (what === "rules") {
      if (out !== undefined) throw new FleetError("USAGE", "the rules are printed: no --out");
      const { RULES, ruleFile } = await import("../prometheus/rules.ts");
      const { fleet } = await (await requireFolder(context)).load();
      const file = ruleFile(fleet.name, RULES);
      output.line(yamlText(file).trimEnd());
      output.json(file);
      return undefined;
    }
    if (what !== "dashboards")
      throw new FleetError("USAGE", `no "${what}" for Prometheus; there are rules, dashboards and targets`);
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

/** `ctl prometheus`: alert rules for the hosts of the folder, as Prometheus reads them. Needs no log-in and no network. */
import { FleetError } from "@muster/protocol/errors";
import { yamlText } from "../inventory/yaml.ts";
import { defineCommand } from "../program/command.ts";
import { ruleFile, rulesFor } from "../prometheus/rules.ts";
import { requireFolder } from "../roster/roster.ts";

export const prometheus = defineCommand({
  name: "prometheus",
  args: "<rules>",
  example: `ctl prometheus rules > /etc/prometheus/muster.rules.yml
The metrics themselves are at http://127.0.0.1:9464/metrics of a controller's server (its configuration says where)`,
  async run(context, { args }) {
    const [what = ""] = args;
    if (what !== "rules") throw new FleetError("USAGE", `no "${what}" for Prometheus; there are rules`);
    const { fleet } = await (await requireFolder(context)).load();
    const file = ruleFile(fleet.name, rulesFor([...fleet.hosts.keys()].sort()));
    context.output.line(yamlText(file).trimEnd());
    context.output.json(file);
    return undefined;
  },
});

/** `ctl new`: a fleet folder for the hosts there are, with what they say of themselves. Writes nothing over. */
import { join, relative, resolve } from "node:path";
import { callMany } from "@muster/ports/call";
import { FleetError } from "@muster/protocol/errors";
import type { HostView } from "@muster/protocol/record";
import type { RpcReply } from "@muster/protocol/rpc/index";
import { readText, writeText } from "../fleet/disk.ts";
import { hostOf } from "../fleet/networks.ts";
import { type Found, newFolder } from "../fleet/new-folder.ts";
import { withNext } from "../output/error.ts";
import { listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { hostViews } from "../roster/roster.ts";
import { openSession } from "../session/session.ts";

export const newCommand = defineCommand({
  name: "new",
  args: "[directory]",
  example: `ctl new              in this directory
ctl new as64500      in a new one`,
  async run(context, { args }) {
    const { output } = context;
    const root = resolve(context.cwd, args[0] ?? ".");
    for (const name of ["muster.yml", "hosts.yml"]) {
      if ((await readText(join(root, name))) === null) continue;
      throw withNext(new FleetError("CONFLICT", `${join(root, name)} is there already`), "ctl plan");
    }
    const session = await openSession(context, { rank: "viewer" });
    const connection = await session.connect();
    const { views } = await hostViews(connection);
    const targets = [...views.values()].map(({ record }) => record.id);
    // Of the hosts themselves: of one that has just joined a controller may have heard nothing yet.
    const options = { signal: context.signal };
    const [facts, bgp] = await Promise.all([
      callMany(connection, targets, "facts", { brief: true }, options),
      callMany(connection, targets, "bgp", {}, options),
    ]);
    const hosts = [...views.values()].map((view) => {
      const { id } = view.record;
      return foundOf(view, facts.answered.get(id), bgp.answered.get(id)?.sample ?? view.bgp);
    });
    const files = newFolder(session.fleet, hosts, session.profile.brokers.map(hostOf));
    output.begin(session.fleet, session.person);
    const written: string[] = [];
    for (const [name, text] of Object.entries(files)) {
      const path = join(root, name);
      if ((await readText(path)) !== null) continue;
      await writeText(path, text, 0o644);
      written.push(name);
    }
    output.line(`${relative(context.cwd, root) || "."}  ${listText(written, 20)}`);
    output.line(
      hosts.length === 0
        ? "no hosts yet: name them in hosts.yml, then ctl join NAME --ssh"
        : `in it: ${listText(hosts.map(({ name }) => name))}      more: name them in hosts.yml, then ctl join NAME --ssh`,
    );
    output.json({ folder: root, written, hosts: hosts.map(({ name }) => name) });
    return undefined;
  },
});

function foundOf({ record }: HostView, facts: RpcReply<"facts"> | undefined, bgp: HostView["bgp"]): Found {
  const sessions = (bgp?.sessions ?? []).flatMap(({ name, neighbor_address: neighbor, neighbor_as: as }) =>
    neighbor === null || as === null ? [] : [{ name, neighbor, as }],
  );
  return {
    name: record.name,
    groups: record.groups,
    addresses: facts?.addresses.map(({ address }) => address) ?? null,
    router_id: bgp?.daemon.router_id ?? null,
    local_as: bgp?.sessions.find(({ local_as }) => local_as !== null)?.local_as ?? null,
    sessions,
  };
}

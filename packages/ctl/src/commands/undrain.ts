/** `ctl undrain`: takes a drain back; what the host announces is as before. */
import { callOne } from "@muster/ports/call";
import { oneHost } from "../maintenance/host.ts";
import { turnDrain } from "../maintenance/switch.ts";
import { durationText, listText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { openSession } from "../session/session.ts";

export const undrain = defineCommand({
  name: "undrain",
  args: "<host>",
  example: "ctl undrain ixp1",
  async run(context, { args }) {
    const session = await openSession(context, { rank: "operator" });
    const connection = await session.connect();
    const host = await oneHost(context, connection, args[0] ?? "");
    const { output } = context;
    output.begin(session.fleet, session.person);
    const { convergence } = await callOne(connection, host.id, "status", {});
    const drained = convergence.drained ?? null;
    if (drained === null) {
      output.line(`${host.name}  is not drained`);
      output.json({ host: host.name, was_drained: null });
      return undefined;
    }
    const progress = output.progress(`${host.name} comes back`);
    try {
      await turnDrain(connection, host, { on: false, why: "", for_ms: null }, context.signal);
    } finally {
      progress.done();
    }
    output.line(`${host.name}  back after ${durationText(context.now() - drained.since)}: ${drained.why}`);
    const disabled = drained.disables ?? [];
    if (disabled.length > 0)
      output.note(`${listText(disabled)} come up again as their neighbours answer: ctl bgp ${host.name}`);
    output.json({ host: host.name, was_drained: drained });
    return undefined;
  },
});

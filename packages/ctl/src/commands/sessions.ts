/** `ctl sessions`: the log-ins that were given and have not ended, of everybody. */
import { defineCommand } from "../program/command.ts";
import { openSession } from "../session/session.ts";

export const sessions = defineCommand({
  name: "sessions",
  example: `ctl sessions              who is logged in, since when, and until when
ctl sessions -o wide      with the keys: ctl revoke KEY ends one log-in`,
  async run(context) {
    const session = await openSession(context, { rank: "operator" });
    const { listAccesses } = await import("../revoke/list.ts");
    return listAccesses(context, session, (access) => access.kind !== "program", "nobody is logged in");
  },
});

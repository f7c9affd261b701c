/** `ctl policy`: who is limited to which hosts, kinds and methods, and what a controller alone may order. Every host judges by it, signed by an admin. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { canonicalize } from "@muster/protocol/canonical";
import { FleetError } from "@muster/protocol/errors";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { openSession } from "../session/session.ts";

/** A bundle has to fit into one message. */
const FILE_BYTES = 128 * 1024;

const show = defineCommand({
  name: "show",
  summary: "the policy that holds, as the file that set takes",
  example: "ctl policy show > policy.yml",
  async run(context) {
    const session = await openSession(context, { rank: "operator" });
    await session.connect();
    const { policyText } = await import("../fleet/policy.ts");
    const { policy, version } = session.bundle;
    context.output.line(policyText(policy).trimEnd());
    context.output.json({ version, policy });
    return undefined;
  },
});

const set = defineCommand({
  name: "set",
  summary: "another policy for every host; an admin signs it",
  args: "<file>",
  example: `ctl policy set policy.yml     after ctl policy show > policy.yml, which then reads
operators:
  bob: { groups: [ixp], kinds: [file, bird], verbs: [plan, apply, switch] }`,
  async run(context, { args }) {
    const file = args[0] ?? "";
    const { policyChanges, readPolicy } = await import("../fleet/policy.ts");
    const wanted = readPolicy(file, await textOf(context, file));
    const session = await openSession(context, { rank: "admin" });
    const { output, now } = context;
    output.begin(session.fleet, session.person);
    await session.connect();
    const shown = session.bundle.policy;
    const changes = policyChanges(shown, wanted);
    for (const line of changes) output.line(line);
    if (session.person in wanted.operators)
      output.note(output.colour.amber(`this limits ${session.person}, which is you`));
    if (changes.length === 0) {
      output.line("the policy is so already");
      output.json({ version: session.bundle.version, changed: false, changes });
      return undefined;
    }
    if (!(await output.confirm("Give every host this policy?"))) return EXIT.failed;
    const { changeBundle } = await import("../revoke/trust.ts");
    const same = (one: unknown, other: unknown) => canonicalize(one) === canonicalize(other);
    const { version, changed } = await changeBundle(
      session,
      (held) => {
        if (same(held.policy, wanted)) return null;
        if (!same(held.policy, shown))
          throw new FleetError("CONFLICT", "somebody else changed the policy meanwhile: ctl policy show");
        return { ...held, policy: wanted };
      },
      now,
      context.asking,
    );
    output.line(`version ${version}  hosts obey it as they hear of it; who is away, once it is back`);
    output.json({ version, changed, changes });
    return undefined;
  },
});

async function textOf({ cwd }: Context, file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(resolve(cwd, file), "utf8");
  } catch (error) {
    throw new FleetError("USAGE", `${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (Buffer.byteLength(text) > FILE_BYTES)
    throw new FleetError("USAGE", `${file}: a policy has at most ${FILE_BYTES / 1024} KiB`);
  return text;
}

export const policy = defineCommand({
  name: "policy",
  example: "ctl policy show",
  subcommands: [show, set],
});

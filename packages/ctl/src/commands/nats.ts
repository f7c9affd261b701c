/** `ctl nats`: the `nats` program of the NATS project as this person, with a viewer's rights for an hour. Its credentials are gone when it ends. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credsText } from "@muster/protocol/creds";
import { FleetError } from "@muster/protocol/errors";
import { nkeyFromSeed } from "@muster/protocol/nkey";
import { subjects } from "@muster/protocol/subjects";
import { writeText } from "../fleet/disk.ts";
import { withNext } from "../output/error.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { openSession } from "../session/session.ts";

const ACCESS_S = 3_600;

export const nats = defineCommand({
  name: "nats",
  args: "<words...>",
  example: `ctl nats sub 'telemetry.*.core1.bgp'      a body is one plain JSON object
ctl nats sub 'event.>'
ctl nats -- sub 'telemetry.*.*.health' --count 3      its own options after --`,
  async run(context, { args }) {
    const session = await openSession(context, { rank: "viewer" });
    const { authorityOf } = await import("../session/login.ts");
    const { runAttached } = await import("../server/run.ts");
    const { profile, person } = session;
    const viewer = await authorityOf(
      profile,
      await session.vault(),
      { person, rank: "viewer", ttl_s: ACCESS_S },
      context.now,
      context.asking,
    );
    // Its own directory, 0700: nobody else can look in, or put something there first.
    const directory = await mkdtemp(join(tmpdir(), "ctl-nats-"));
    try {
      const [creds, ca] = [join(directory, "viewer.creds"), join(directory, "ca.pem")];
      await writeText(creds, credsText(viewer.user_jwt, viewer.seed));
      await writeText(ca, profile.broker_ca);
      const options = [
        // What the person has set up for other fleets says nothing here: a password of theirs would win over the credentials.
        "--no-context",
        `--server=${profile.brokers.map((broker) => `tls://${broker}`).join(",")}`,
        `--creds=${creds}`,
        `--tlsca=${ca}`,
        `--inbox-prefix=${subjects.inboxPrefix(nkeyFromSeed(viewer.seed).public)}`,
      ];
      const theirs = Object.keys(process.env).filter((name) => name.startsWith("NATS_"));
      const code = await runAttached("nats", [...options, ...args], context.signal, theirs);
      if (context.signal.aborted) return EXIT.interrupted;
      return code === 0 ? EXIT.done : EXIT.failed;
    } catch (error) {
      if (!(error instanceof FleetError) || error.code !== "COMMAND_FAILED") throw error;
      throw withNext(
        error,
        "install the program `nats` (github.com/nats-io/natscli): its releases have packages",
      );
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
});

/** `ctl whoami`: reads what is kept here and asks nobody. */
import { fleetOfFolder } from "../fleet/folder.ts";
import { durationText, timeText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import { requireProfile } from "../session/profile.ts";
import { endsOf, lacking, loadSession } from "../session/stored.ts";

export const whoami = defineCommand({
  name: "whoami",
  example: "ctl whoami",
  async run(context) {
    const { output } = context;
    const profile = await requireProfile(
      context.home,
      context.global.fleet ?? (await fleetOfFolder(context.cwd)),
    );
    const stored = await loadSession(context.home, profile.fleet);
    const lack = lacking(stored, "viewer", context.now());
    const ends_ms = stored === null ? null : endsOf(stored);
    output.json({
      fleet: profile.fleet,
      person: stored?.person ?? null,
      rank: stored?.rank ?? null,
      ends: ends_ms,
      valid: lack === null,
      brokers: profile.brokers,
      anchor: profile.anchor,
    });
    if (lack !== null || stored === null || ends_ms === null) {
      output.line(`${profile.fleet} · ${output.colour.amber(lack ?? "")}`);
      output.note(`next   ctl login ${stored?.person ?? profile.person ?? "NAME"}`);
      return EXIT.failed;
    }
    const left = durationText(ends_ms - context.now());
    output.line(`${profile.fleet} · ${stored.person}, ${stored.rank}, until ${timeText(ends_ms)} (${left})`);
    if (output.form === "wide")
      output.line(`brokers  ${profile.brokers.join(", ")}\nanchor   ${profile.anchor}`);
    return undefined;
  },
});

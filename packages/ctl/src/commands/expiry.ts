/** `ctl expiry`: what of the fleet ends when, and what to type where it should have been renewed. */
import { countText, durationText, timeText } from "../output/words.ts";
import { defineCommand } from "../program/command.ts";
import { type Expiry, expiries } from "../report/expiry.ts";
import { hostViews } from "../roster/roster.ts";
import { AUTHORITY_S } from "../session/ranks.ts";
import { openSession } from "../session/session.ts";

/** How many that are well are shown without `--all`. */
const SHOWN = 10;

export const expiry = defineCommand({
  name: "expiry",
  options: { all: { flag: "--all", help: "everything, however well it is" } },
  example: `ctl expiry           exit 1 when something is red: less than a tenth of its life is left
ctl expiry --all -o json`,
  async run(context, { options }) {
    const { output } = context;
    const session = await openSession(context, { rank: "viewer" });
    const { views, now } = await hostViews(await session.connect());
    const person = { name: session.person, from: session.ends_ms - AUTHORITY_S * 1_000, to: session.ends_ms };
    const rows = expiries({ views: [...views.values()], bundle: session.bundle, person }, now);
    const paint = (row: Expiry, text: string) =>
      row.state === "green" ? text : output.colour[row.state](text);
    const wrong = rows.filter(({ state }) => state !== "green");
    const well = rows.filter(({ state }) => state === "green");
    const shown = [...wrong, ...(options.all ? well : well.slice(0, SHOWN))];
    output.json(rows);
    output.table(shown, [
      { title: "WHOSE", value: (row) => row.whose },
      { title: "WHAT", value: (row) => row.what },
      {
        title: "LEFT",
        align: "right",
        value: (row) => paint(row, row.not_after === null ? "none" : leftText(row.not_after - now)),
      },
      { title: "UNTIL", value: (row) => (row.not_after === null ? "-" : timeText(row.not_after)) },
      { title: "NEXT", value: (row) => row.next },
    ]);
    const more = rows.length - shown.length;
    if (more > 0) output.line(`and ${countText(more, "more", "more")} that end later: --all`);
    return rows.some(({ state }) => state === "red") ? 1 : 0;
  },
});

const leftText = (left_ms: number) =>
  left_ms <= 0 ? `ended ${durationText(-left_ms)} ago` : durationText(left_ms);

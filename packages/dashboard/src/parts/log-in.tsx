/** What to do before the log-in behind the page ends, and after: a command to type, and a field for what it prints. The page goes on as it stands. */
import { timeText } from "@muster/protocol/time";
import { durationText } from "@muster/view/words";
import { useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { isEnding } from "../renewal.ts";

const MINUTE_MS = 60_000;

export function LogIn({ frame: { access, over, there_ms, renewal } }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const { asking, why } = renewal;
  const due = over !== null || isEnding(access.expires, there_ms);
  if (!due && !asking && why === null) return null;
  const left_ms = access.expires - there_ms;
  const show = (event: Event) => {
    event.preventDefault();
    renewal.take(typed);
    // It shall stand nowhere longer than it takes to be used.
    setTyped("");
  };
  return (
    <form class="log-in" onSubmit={show} aria-label="go on with another ticket">
      <span>
        {over !== null || left_ms <= 0
          ? "To go on here, in a terminal: "
          : `The log-in behind this page ends in ${durationText(Math.ceil(left_ms / MINUTE_MS) * MINUTE_MS)}, at ${timeText(access.expires)}. To go on here, in a terminal: `}
        {/* Before it is over a ticket alone would end when it does. */}
        <code>{over !== null || left_ms <= 0 ? "ctl dashboard" : "ctl login && ctl dashboard"}</code>
      </span>
      <label>
        then paste the address that it prints{" "}
        <input
          type="text"
          value={typed}
          autocomplete="off"
          spellcheck={false}
          maxLength={500}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <button type="submit" disabled={asking || typed.trim() === ""}>
        {asking ? "asking …" : "go on"}
      </button>
      {why === null ? null : (
        <strong class="red" role="alert">
          not taken: {why}
        </strong>
      )}
      {why === null || due ? null : (
        <button type="button" onClick={() => renewal.forget()}>
          leave it
        </button>
      )}
    </form>
  );
}

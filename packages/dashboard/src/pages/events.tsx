/** What happened, newest first, with a search. */
import { EVENT_KINDS } from "@muster/protocol/event";
import { countText } from "@muster/view/words";
import { useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { EventLines } from "../parts/events.tsx";
import { finds, Search } from "../parts/search.tsx";

const SHOWN = 200;

export function EventsPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const [kind, setKind] = useState("");
  const found = frame.events.filter(
    ({ host, event }) =>
      (kind === "" || event.kind === kind) &&
      finds(typed, `${host} ${event.kind} ${event.what} ${event.by ?? ""}`),
  );
  const shown = found.slice(-SHOWN).reverse();
  return (
    <>
      <div class="bar">
        <Search value={typed} what="words, hosts, people" set={setTyped} />
        <select aria-label="kind" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
          <option value="">every kind</option>
          {EVENT_KINDS.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
        <span>
          {countText(found.length, "event")} of the last day, at most 500. Older:{" "}
          <code>ctl events --since 30d</code>
        </span>
      </div>
      <EventLines events={shown} />
      {found.length > SHOWN ? <p class="quiet">and {found.length - SHOWN} more: search for them</p> : null}
    </>
  );
}

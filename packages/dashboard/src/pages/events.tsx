/** What happened, newest first, with a search: of the last day as it comes, of before by asking. */
import { EVENT_KINDS, type EventKind } from "@muster/protocol/event";
import { countText } from "@muster/view/words";
import { useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { EventLines } from "../parts/events.tsx";
import { finds, Search } from "../parts/search.tsx";
import { SpanChoice, sinceOf } from "../parts/span.tsx";
import { useAnswer } from "../questions.ts";

const SHOWN = 200;
const ASKED = 1_000;
const EVERY_MS = 60_000;
const SPANS = { "": "as they come", "24": "the last day", "168": "the last week", "720": "the last 30 days" };
type Span = keyof typeof SPANS;

export function EventsPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const [kind, setKind] = useState<EventKind | "">("");
  const [span, setSpan] = useState<Span>("");
  const before = useBefore(frame, span, kind);
  const events = span === "" ? frame.events : (before.value?.events ?? []);
  const found = events.filter(
    ({ host, event }) =>
      (kind === "" || event.kind === kind) &&
      finds(typed, `${host} ${event.kind} ${event.what} ${event.by ?? ""}`),
  );
  const full = span !== "" && events.length >= ASKED;
  return (
    <>
      <div class="bar">
        <Search value={typed} what="words, hosts, people" set={setTyped} />
        <select
          aria-label="kind"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value as EventKind | "")}
        >
          <option value="">every kind</option>
          {EVENT_KINDS.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
        <SpanChoice spans={SPANS} span={span} set={(value) => setSpan(value as Span)} />
        <span>
          {countText(found.length, "event")}
          {span === "" ? " of the newest 500" : full ? ` of the newest ${ASKED}: choose a kind` : ""}
        </span>
      </div>
      {span !== "" && before.value === null ? (
        <p>{before.why === null ? "asking …" : `not known: ${before.why}`}</p>
      ) : (
        <EventLines events={found.slice(-SHOWN).reverse()} />
      )}
      {found.length > SHOWN ? <p class="quiet">and {found.length - SHOWN} more: search for them</p> : null}
      <p class="quiet">
        Who ordered what stands here with the person's name. The <a href="#/audit">audit</a> itself, every
        order and every refusal, is for operators.
      </p>
    </>
  );
}

function useBefore(frame: Frame, span: Span, kind: EventKind | "") {
  const since = sinceOf(Number(span), frame.there_ms);
  const question = { since, limit: span === "" ? 1 : ASKED, ...(kind === "" ? {} : { kind }) };
  return useAnswer(frame, "events", question, span === "" ? Number.POSITIVE_INFINITY : EVERY_MS);
}

/** Events as lines, newest first. */
import { timeText } from "@muster/protocol/time";
import type { HostEvent } from "@muster/view/model";
import { durationText } from "@muster/view/words";
import { State } from "./state.tsx";

const TINTS = { info: "grey", warning: "amber", error: "red" } as const;

export function EventLines({ events }: { events: readonly HostEvent[] }) {
  if (events.length === 0) return <p class="quiet">no events</p>;
  return (
    <ol class="events">
      {events.map(({ host, event, late_ms = 0 }) => (
        <li key={`${host} ${event.at} ${event.kind} ${event.what}`} data-event={event.kind}>
          <time dateTime={new Date(event.at).toISOString()}>{timeText(event.at)}</time>
          {host === "_" ? <span>fleet</span> : <a href={`#/host/${host}`}>{host}</a>}
          <State tint={TINTS[event.severity]} word={event.kind} />
          <span>
            {event.what}
            {event.by === undefined ? "" : `  (${event.by})`}
            {late_ms === 0 ? null : (
              <small> told {durationText(late_ms)} later, since it had no broker</small>
            )}
            {event.diff === undefined ? null : (
              <details>
                <summary>difference</summary>
                <pre>{event.diff}</pre>
              </details>
            )}
          </span>
        </li>
      ))}
    </ol>
  );
}

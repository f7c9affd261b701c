/** Which sessions fall, how often, and which of them together, over the last week. */
import { timeText } from "@muster/protocol/time";
import type { HostEvent } from "@muster/view/model";
import { type Fallen, together } from "@muster/view/together";
import { countText, listText } from "@muster/view/words";
import { useMemo } from "preact/hooks";
import type { Frame } from "../live.ts";
import { useAnswer } from "../questions.ts";
import { Table } from "./table.tsx";

const SPAN_MS = 7 * 86_400_000;
const HOUR_MS = 3_600_000;
const EVERY_MS = 300_000;
const ASKED = 1_000;
const SHOWN = 10;

const nameOf = ({ host, session }: Fallen) => `${host} ${session}`;

export function Falls({ frame }: { frame: Frame }) {
  // By the hour, so that the question stays the same while one looks.
  const since = Math.floor(frame.there_ms / HOUR_MS) * HOUR_MS - SPAN_MS;
  const { value, why } = useAnswer(frame, "events", { since, kind: "session", limit: ASKED }, EVERY_MS);
  const kept: readonly HostEvent[] = value?.events ?? [];
  // One that is in both is one: it fell at one instant.
  const { falls, pairs, counts } = useMemo(() => together([...kept, ...frame.events]), [kept, frame.events]);
  const flapping = frame.hosts.flatMap(({ known, state }) =>
    state === "silent"
      ? []
      : (known.bgp?.sessions ?? []).flatMap(({ name, flaps }) =>
          (flaps ?? 0) === 0 ? [] : [{ host: known.name, session: name, flaps: flaps ?? 0 }],
        ),
  );
  return (
    <section aria-label="flaps">
      <h2>flaps</h2>
      {why === null ? null : <p class="quiet">only since this page was opened: {why}</p>}
      {kept.length >= ASKED ? <p class="quiet">of the newest {ASKED} events</p> : null}
      <p>
        {flapping.length === 0
          ? "nothing flapped in the last hour"
          : `in the last hour: ${listText(
              flapping
                .sort((one, other) => other.flaps - one.flaps)
                .map((each) => `${nameOf(each)} ${countText(each.flaps, "time")}`),
            )}`}
      </p>
      {counts.length === 0 ? (
        <p class="quiet">nothing went down in the last week</p>
      ) : (
        <p>
          in the last week:{" "}
          {listText(counts.map((each) => `${nameOf(each)} ${countText(each.times, "time")}`))}
        </p>
      )}
      <h3>who goes down with whom</h3>
      {pairs.length === 0 ? (
        <p class="quiet">no two sessions went down together more than once in the last week</p>
      ) : (
        <Table
          label="pair"
          titles={["session", "with", "together"]}
          rows={pairs.slice(0, SHOWN)}
          keyOf={({ one, other }) => `${nameOf(one)} with ${nameOf(other)}`}
          cells={({ one, other, times, of }) => [
            nameOf(one),
            nameOf(other),
            `${times} of ${countText(of, "time")}`,
          ]}
        />
      )}
      {falls.length === 0 ? null : (
        <>
          <h3>down within 30 s of each other</h3>
          <ul class="troubles">
            {falls.slice(0, SHOWN).map(({ at, sessions }) => (
              <li key={at}>
                {timeText(at)}: {countText(sessions.length, "session")}, {listText(sessions.map(nameOf))}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

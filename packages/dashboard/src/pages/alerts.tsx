/** What fires, who was told, what is silenced and why, and whether the alerting itself works: as `ctl alerts` says it. */
import { type AlertView, FLEET_WIDE, type Silence } from "@muster/protocol/alert";
import { timeText } from "@muster/protocol/time";
import { alertingTroubles, notKnownText, routesText, silencedHosts, toldText } from "@muster/view/alerts";
import { countText, durationText, listText } from "@muster/view/words";
import { useState } from "preact/hooks";
import type { Frame } from "../live.ts";
import { finds, Search } from "../parts/search.tsx";
import { State } from "../parts/state.tsx";
import { Table } from "../parts/table.tsx";
import { useAnswer } from "../questions.ts";

/** An alert is an event, and then asked for at once; so often for who was told meanwhile. */
const EVERY_MS = 10_000;
const SHOWN = 200;

export function AlertsPage({ frame }: { frame: Frame }) {
  const [typed, setTyped] = useState("");
  const { value, why } = useAnswer(frame, "alerts", {}, EVERY_MS);
  const { there_ms } = frame;
  if (value === null)
    return <p>{why === null ? "asking for the alerts …" : `alerts are not known: ${why}`}</p>;
  const found = value.alerts.filter(({ host, about, what, rule }) =>
    finds(typed, `${host} ${about} ${what} ${rule}`),
  );
  const firing = found.filter(({ silenced }) => silenced === null);
  const silenced = found.filter((alert) => alert.silenced !== null);
  const { summary, silences, left_out } = value;
  return (
    <>
      <div class="bar">
        <Search value={typed} what="hosts, what, rules" set={setTyped} />
        <span>
          {countText(firing.length, "alert")} firing, {silenced.length} silenced
        </span>
        {why === null ? null : <span>as of before: {why}</span>}
      </div>
      {summary === null ? (
        <p>
          <State tint="amber" word="no controller has looked yet" />
        </p>
      ) : (
        <>
          <ul class="troubles">
            {alertingTroubles(summary, there_ms).map(({ tint, what, next }) => (
              <li key={what}>
                <State tint={tint} word="" /> {what} <code>{next}</code>
              </li>
            ))}
          </ul>
          <ul class="troubles">
            {summary.not_known.map(notKnownText).map(({ what, next }) => (
              <li key={what}>
                <State tint="amber" word="not known" /> {what} <code>{next}</code>
              </li>
            ))}
          </ul>
          <p class="quiet">routes: {routesText(summary, there_ms)}</p>
        </>
      )}
      <section>
        <h2>firing</h2>
        {firing.length === 0 ? <p class="quiet">nothing fires</p> : null}
        <Alerts alerts={firing.slice(0, SHOWN)} there_ms={there_ms} />
        {firing.length > SHOWN ? (
          <p class="quiet">and {firing.length - SHOWN} more: search for them</p>
        ) : null}
        {left_out === 0 ? null : (
          <p class="quiet">
            and {countText(left_out, "more alert")}: <code>ctl alerts HOST</code>
          </p>
        )}
      </section>
      <section>
        <h2>firing, and nobody is told</h2>
        {silenced.length === 0 ? <p class="quiet">none</p> : null}
        <Alerts alerts={silenced.slice(0, SHOWN)} there_ms={there_ms} />
      </section>
      <section>
        <h2>silences</h2>
        {silences.length === 0 ? (
          <p class="quiet">
            none. To give one: <code>ctl silence HOST --for 2h --why TEXT</code>
          </p>
        ) : (
          <Silences silences={silences} there_ms={there_ms} />
        )}
      </section>
    </>
  );
}

function Alerts({ alerts, there_ms }: { alerts: readonly AlertView[]; there_ms: number }) {
  return (
    <ul class="troubles">
      {alerts.map((alert) => {
        const { host, about, rule, severity, since, what, next, state } = alert;
        return (
          <li key={`${host} ${about} ${rule}`} data-alert={`${host} ${about}`}>
            <State tint={severity === "page" ? "red" : "amber"} word={severity} />{" "}
            {host === FLEET_WIDE ? "the fleet" : <a href={`#/host/${host}`}>{host}</a>}{" "}
            {state === "resolved" ? "over, was " : ""}
            {what} <span class="quiet">since {timeText(since)}, </span>
            <span class="quiet">
              {durationText(there_ms - since)}; rule {rule}; {toldText(alert, there_ms)}
            </span>{" "}
            <code>{next}</code>
          </li>
        );
      })}
    </ul>
  );
}

function Silences({ silences, there_ms }: { silences: readonly Silence[]; there_ms: number }) {
  return (
    <Table
      label="silence"
      titles={["silence", "of", "about", "by", "why", "left", "to end it"]}
      rows={silences}
      keyOf={({ id }) => id}
      cells={({ id, selector, hosts, about, by, why, until }) => [
        id,
        `${selector} (${silencedHosts(hosts)})`,
        about.includes("*") ? "everything" : listText(about),
        by,
        why,
        `${durationText(until - there_ms)}, until ${timeText(until)}`,
        <code key="next">ctl silence --end {id}</code>,
      ]}
    />
  );
}

/** The frame around every view: where one is, how fresh it is, and the way elsewhere. */
import { timeText } from "@muster/protocol/time";
import { durationText } from "@muster/view/words";
import { useLayoutEffect } from "preact/hooks";
import type { Frame } from "./live.ts";
import { AlertsPage } from "./pages/alerts.tsx";
import { AuditPage, mayReadAudit } from "./pages/audit.tsx";
import { BgpPage } from "./pages/bgp.tsx";
import { CertificatesPage } from "./pages/certificates.tsx";
import { ChangesPage } from "./pages/changes.tsx";
import { EventsPage } from "./pages/events.tsx";
import { FleetPage } from "./pages/fleet.tsx";
import { HostPage } from "./pages/host.tsx";
import { LogIn } from "./parts/log-in.tsx";
import { hrefOf, usePlace } from "./place.ts";

const VIEWS = [
  ["", "Fleet"],
  ["bgp", "BGP"],
  ["changes", "Changes"],
  ["certificates", "Certificates"],
  ["events", "Events"],
  ["alerts", "Alerts"],
  ["audit", "Audit"],
] as const;

/** Before there is anything to show. `words` null: nobody has opened it. */
export function Door({ fleet, words }: { fleet: string; words: string | null }) {
  return (
    <main class="door">
      <h1>{fleet}</h1>
      <p role="status">{words ?? "This page opens with an address that works once."}</p>
      <p>
        In a terminal: <code>ctl dashboard</code>
      </p>
    </main>
  );
}

export function App({ frame }: { frame: Frame }) {
  const [view = "", name] = usePlace().path;
  useKeys();
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("content")?.focus()}>
        to the content
      </button>
      <header>
        <strong>{frame.access.fleet}</strong>
        <nav aria-label="views">
          {VIEWS.filter(([path]) => path !== "audit" || mayReadAudit(frame.access)).map(
            ([path, title], at) => (
              <a
                key={path}
                href={hrefOf(path)}
                aria-current={view === path ? "page" : undefined}
                title={`key ${at + 1}`}
              >
                {title}
              </a>
            ),
          )}
        </nav>
        <span class="quiet">
          {frame.access.person}, until {timeText(frame.access.expires)}
        </span>
      </header>
      <Freshness frame={frame} />
      <LogIn frame={frame} />
      <main id="content" class={frame.cut_at === null ? "" : "old"} tabIndex={-1}>
        {view === "host" && name !== undefined ? (
          <HostPage key={name} frame={frame} name={name} />
        ) : view === "bgp" ? (
          <BgpPage frame={frame} />
        ) : view === "changes" ? (
          <ChangesPage frame={frame} />
        ) : view === "certificates" ? (
          <CertificatesPage frame={frame} />
        ) : view === "alerts" ? (
          <AlertsPage frame={frame} />
        ) : view === "audit" ? (
          <AuditPage frame={frame} />
        ) : view === "events" ? (
          <EventsPage frame={frame} />
        ) : (
          <FleetPage frame={frame} />
        )}
      </main>
    </>
  );
}

/** Whether what is seen is of now. */
function Freshness({ frame }: { frame: Frame }) {
  const { cut_at, over, lack, now_ms } = frame;
  const words =
    over !== null
      ? `${over}: everything here is as of ${timeText(cut_at ?? now_ms)}`
      : cut_at !== null
        ? `no connection for ${durationText(now_ms - cut_at)}: everything here is as of ${timeText(cut_at)}. It tries again by itself`
        : lack;
  return (
    <div
      class="fresh"
      role="status"
      data-fresh={over !== null ? "over" : cut_at !== null ? "cut" : lack === null ? "live" : "filling"}
    >
      {words ?? ""}
    </div>
  );
}

/** Keys 1 to 7 go to the views, / to the search. */
function useKeys(): void {
  // At once: what is seen can be used, and a key that comes before the next frame is not lost.
  useLayoutEffect(() => {
    const key = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const to = VIEWS[Number(event.key) - 1];
      if (to !== undefined) location.hash = hrefOf(to[0]);
      else if (event.key === "Escape") history.back();
      else if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>("input[type=search]")?.focus();
      }
    };
    addEventListener("keydown", key);
    return () => removeEventListener("keydown", key);
  }, []);
}

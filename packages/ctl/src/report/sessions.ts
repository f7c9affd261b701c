/** BGP sessions as a table. Pure. */
import { bgpColour } from "@muster/protocol/telemetry/bgp";
import { routeCount, type SessionRow, sinceText, verdictText } from "@muster/view/sessions";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";
import { numberText } from "../output/words.ts";

export function sessionColumns(now_ms: number, colour: Colour): Column<SessionRow>[] {
  const paint = { red: colour.red, amber: colour.amber, green: colour.green, grey: colour.dim };
  const count = (value: number | null) => (value === null ? "-" : numberText(value));
  return [
    { title: "HOST", value: ({ host }) => host },
    { title: "SESSION", value: ({ session }) => session.name },
    { title: "NEIGHBOUR", value: ({ session }) => session.neighbor_address ?? session.neighbor_range ?? "-" },
    {
      title: "AS",
      value: ({ session }) => (session.neighbor_as === null ? "any" : String(session.neighbor_as)),
      align: "right",
    },
    { title: "STATE", value: ({ session }) => session.state },
    { title: "SINCE", value: ({ session }) => sinceText(session, now_ms), align: "right" },
    { title: "IMPORTED", value: ({ session }) => count(routeCount(session, "imported")), align: "right" },
    { title: "EXPORTED", value: ({ session }) => count(routeCount(session, "exported")), align: "right" },
    { title: "FLAPS/H", value: ({ session }) => count(session.flaps), align: "right", wide: true },
    { title: "LOCAL", value: ({ session }) => session.source_address ?? "-", wide: true },
    {
      title: "VERDICT",
      value: ({ session }) => {
        const why = session.why === "" ? "" : `: ${session.why}`;
        return `${paint[bgpColour(session.verdict)](verdictText(session.verdict))}${why}`;
      },
    },
  ];
}

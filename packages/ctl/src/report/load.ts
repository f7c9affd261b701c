/** How loaded servers are, as a table that can be ordered by any column. Pure. */
import type { Load } from "@muster/protocol/load";
import { rateText } from "@muster/view/load";
import type { Colour } from "../output/colour.ts";
import type { Column } from "../output/table.ts";

export type LoadRow = { readonly host: string; readonly load: Load };

/** The busiest first; what is not known last. */
export const LOAD_ORDERS: Readonly<Record<string, (one: LoadRow, other: LoadRow) => number>> = {
  cpu: byMost(({ load }) => load.cpu),
  memory: byMost(({ load }) => load.memory),
  load: byMost(({ load }) => load.load1 / Math.max(1, load.cores)),
  received: byMost(({ load }) => load.received_bits_per_s),
  sent: byMost(({ load }) => load.sent_bits_per_s),
  name: byName,
};

function byName(one: LoadRow, other: LoadRow): number {
  return one.host.localeCompare(other.host);
}

function byMost(of: (row: LoadRow) => number | null): (one: LoadRow, other: LoadRow) => number {
  return (one, other) => (of(other) ?? -1) - (of(one) ?? -1) || byName(one, other);
}

const HIGH = 0.9;

export function loadColumns(colour: Colour): Column<LoadRow>[] {
  const share = (value: number | null) => {
    if (value === null) return "-";
    const text = `${Math.round(value * 100)} %`;
    return value > HIGH ? colour.amber(text) : text;
  };
  return [
    { title: "HOST", value: ({ host }) => host },
    { title: "CPU", value: ({ load }) => share(load.cpu), align: "right" },
    { title: "MEMORY", value: ({ load }) => share(load.memory), align: "right" },
    {
      title: "LOAD",
      value: ({ load: { load1, cores } }) => {
        const text = `${load1.toFixed(2)} of ${cores}`;
        return load1 > cores ? colour.amber(text) : text;
      },
      align: "right",
    },
    { title: "RECEIVED", value: ({ load }) => rateText(load.received_bits_per_s), align: "right" },
    { title: "SENT", value: ({ load }) => rateText(load.sent_bits_per_s), align: "right" },
  ];
}

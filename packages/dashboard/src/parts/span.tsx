/** How far back a list goes. */

const HOUR_MS = 3_600_000;

/** Spans by their hours as text; what else there is to choose has a name that is no number. */
export type Spans = Readonly<Record<string, string>>;

export function SpanChoice({
  spans,
  span,
  set,
}: {
  spans: Spans;
  span: string;
  set: (span: string) => void;
}) {
  return (
    <select aria-label="since" value={span} onChange={(event) => set(event.currentTarget.value)}>
      {Object.entries(spans).map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
}

/** By the hour, so that a question stays the same while one looks. */
export const sinceOf = (hours: number, now_ms: number): number =>
  Math.floor(now_ms / HOUR_MS) * HOUR_MS - hours * HOUR_MS;

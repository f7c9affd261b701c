/** Port to uPlot: a small line chart over time, in the page's own colours. */
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";

export type Line = { readonly label: string; readonly values: readonly (number | null)[] };

const HEIGHT_PX = 120;
/** What is older says nothing of now. */
const NOW_S = 60;
/** Between two times on the axis, so that they stand apart. */
const TIMES_APART_PX = 70;

/** As everywhere in Muster: UTC, of 24 hours. */
const clockText = (at_s: number, step_s: number): string =>
  new Date(at_s * 1_000).toISOString().slice(11, step_s < 60 ? 19 : 16);

/** As a canvas takes it: a property of ours may say two, for light and dark. */
function colourOf(element: HTMLElement, property: string): string {
  element.style.color = `var(${property})`;
  const { color } = getComputedStyle(element);
  element.style.color = "";
  return color;
}

type ChartProps = {
  readonly title: string;
  readonly now_ms: number;
  /** Seconds since 1970. */
  readonly at: readonly number[];
  readonly lines: readonly Line[];
  readonly text: (value: number) => string;
  readonly max?: number;
};

/** One point is no line: until there are two it says so. */
export function Chart(props: ChartProps) {
  const { title, lines, text, at, now_ms } = props;
  const isNow = (index: number) => now_ms / 1_000 - (at[index] ?? 0) < NOW_S;
  const newest = lines.map(({ label, values }) => {
    const value = values.findLast((each, index) => each !== null && isNow(index));
    return value == null ? null : `${label} ${text(value)}`;
  });
  const known = newest.filter((each) => each !== null);
  return (
    <figure class="chart">
      <figcaption>
        {title} <span class="quiet">{known.length > 0 ? known.join(", ") : "not known now"}</span>
      </figcaption>
      {at.length > 1 ? <Plot {...props} /> : <p class="quiet">the line begins with the second sample</p>}
    </figure>
  );
}

function Plot(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const data = [props.at, ...props.lines.map(({ values }) => values)] as unknown as UPlot.AlignedData;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const ink = colourOf(element, "--quiet");
    const colours = [colourOf(element, "--line"), colourOf(element, "--line-2")];
    const axis = {
      stroke: ink,
      grid: { stroke: colourOf(element, "--edge"), width: 1 },
      ticks: { show: false },
    };
    const { text, max } = props;
    plot.current = new UPlot(
      {
        width: element.clientWidth,
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { show: false },
        tzDate: (at_s) => UPlot.tzDate(new Date(at_s * 1_000), "Etc/UTC"),
        axes: [
          {
            ...axis,
            space: TIMES_APART_PX,
            values: (_, splits, __, ___, step_s) => splits.map((at) => clockText(at, step_s)),
          },
          { ...axis, size: 64, values: (_, splits) => splits.map(text) },
        ],
        scales: { y: { range: (_, __, high) => [0, max ?? Math.max(high * 1.1, 0.1)] } },
        series: [
          {},
          ...props.lines.map(({ label }, at) => ({
            label,
            stroke: colours[at] ?? ink,
            width: 1.5,
            points: { show: false },
            dash: at === 0 ? [] : [6, 4],
          })),
        ],
      },
      data,
      element,
    );
    const resized = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT_PX }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  // The same lines as before are not drawn again.
  useEffect(() => plot.current?.setData(data), [props.lines]);
  return <div ref={place} aria-hidden="true" />;
}

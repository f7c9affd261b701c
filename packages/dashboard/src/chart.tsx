/** Port to uPlot: a small line chart over time, in the page's own colours. */
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";

export type Line = { readonly label: string; readonly values: readonly (number | null)[] };

const HEIGHT_PX = 120;

export function Chart(props: {
  readonly title: string;
  readonly at: readonly number[];
  readonly lines: readonly Line[];
  readonly text: (value: number) => string;
  readonly max?: number;
}) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);
  const data = [props.at, ...props.lines.map(({ values }) => values)] as unknown as UPlot.AlignedData;
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const style = getComputedStyle(element);
    const ink = style.getPropertyValue("--quiet");
    const colours = [style.getPropertyValue("--line"), style.getPropertyValue("--line-2")];
    const axis = {
      stroke: ink,
      grid: { stroke: style.getPropertyValue("--edge"), width: 1 },
      ticks: { show: false },
    };
    const { text, max } = props;
    plot.current = new UPlot(
      {
        width: element.clientWidth,
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { show: false },
        axes: [axis, { ...axis, size: 64, values: (_, splits) => splits.map(text) }],
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
  useEffect(() => plot.current?.setData(data));
  const newest = props.lines.map(({ label, values }) => {
    const value = values.findLast((each) => each !== null);
    return `${label} ${value == null ? "not known yet" : props.text(value)}`;
  });
  return (
    <figure class="chart">
      <figcaption>
        {props.title} <span class="quiet">{newest.join(", ")}</span>
      </figcaption>
      <div ref={place} aria-hidden="true" />
    </figure>
  );
}

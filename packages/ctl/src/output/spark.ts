/** Numbers over time as a line of small columns. Pure. */

const HEIGHTS = "▁▂▃▄▅▆▇█";
const WIDTH = 16;

/** Oldest first; of several in one column the highest, and a gap where there is none. */
export function sparkText(points: readonly (readonly [at: number, value: number])[], width = WIDTH): string {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first[0] === last[0]) return "";
  const highest: (number | undefined)[] = new Array(width).fill(undefined);
  for (const [at, value] of points) {
    const column = Math.min(width - 1, Math.floor(((at - first[0]) / (last[0] - first[0])) * width));
    highest[column] = Math.max(highest[column] ?? value, value);
  }
  const values = points.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return highest
    .map((value) => {
      if (value === undefined) return " ";
      const height = high === low ? 0 : Math.round(((value - low) / (high - low)) * (HEIGHTS.length - 1));
      return HEIGHTS[height] ?? "";
    })
    .join("");
}

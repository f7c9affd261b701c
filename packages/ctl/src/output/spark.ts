/** Numbers over time as a line of small columns. Pure. */

/** From the least to the most. */
export const LEVELS = "▁▂▃▄▅▆▇█";
const WIDTH = 16;

/** Oldest first; of several in one column the highest, and a gap where there is none. Of what stands still nothing. */
export function sparkText(points: readonly (readonly [at: number, value: number])[], most = WIDTH): string {
  const width = Math.min(most, points.length);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || first[0] === last[0]) return "";
  const highest: (number | undefined)[] = new Array(width).fill(undefined);
  for (const [at, value] of points) {
    const column = Math.min(width - 1, Math.floor(((at - first[0]) / (last[0] - first[0])) * width));
    highest[column] = Math.max(highest[column] ?? value, value);
  }
  const values = points.map(([, value]) => value);
  const low = values.reduce((one, other) => Math.min(one, other));
  const high = values.reduce((one, other) => Math.max(one, other));
  if (low === high) return "";
  return highest
    .map((value) => {
      if (value === undefined) return " ";
      const height = Math.round(((value - low) / (high - low)) * (LEVELS.length - 1));
      return LEVELS[height] ?? "";
    })
    .join("");
}

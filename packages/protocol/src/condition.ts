/** A condition over a host's metrics, as a rule of alerts.yml has it: `muster_host_load1 > 8`, `A / B < 0.05`, `M{check="web"} > 0.5`. Pure. */

/** One metric, and the labels that a series of it must have. */
export type Series = { readonly metric: string; readonly labels: Readonly<Record<string, string>> };
export type Condition = {
  readonly left: Series;
  /** What `left` is divided by; null = nothing. */
  readonly by: Series | null;
  readonly op: keyof typeof HOLDS;
  readonly limit: number;
};

const HOLDS = {
  "<": (value: number, limit: number) => value < limit,
  "<=": (value: number, limit: number) => value <= limit,
  ">": (value: number, limit: number) => value > limit,
  ">=": (value: number, limit: number) => value >= limit,
  "==": (value: number, limit: number) => value === limit,
  "!=": (value: number, limit: number) => value !== limit,
};
const SERIES = String.raw`(muster_[a-z0-9_]{1,100})(?:\{([^{}]{0,200})\})?`;
const CONDITION = new RegExp(
  String.raw`^\s*${SERIES}(?:\s*/\s*${SERIES})?\s*(<=|>=|==|!=|<|>)\s*(-?\d{1,18}(?:\.\d{1,9})?)\s*$`,
);
const LABEL = /^\s*([a-z_]{1,40})\s*=\s*"([^"\\]{0,100})"\s*$/;

/** Null for what is none. */
export function parseCondition(text: string): Condition | null {
  const [, metric, labels, by_metric, by_labels, op, limit] = CONDITION.exec(text) ?? [];
  if (metric === undefined || op === undefined) return null;
  const left = seriesOf(metric, labels);
  const by = by_metric === undefined ? null : seriesOf(by_metric, by_labels);
  if (left === null || (by === null && by_metric !== undefined)) return null;
  return { left, by, op: op as Condition["op"], limit: Number(limit) };
}

export const holds = ({ op, limit }: Condition, value: number): boolean => HOLDS[op](value, limit);

function seriesOf(metric: string, text = ""): Series | null {
  const labels: Record<string, string> = {};
  for (const part of text.trim() === "" ? [] : text.split(",")) {
    const [, name, value] = LABEL.exec(part) ?? [];
    if (name === undefined || value === undefined) return null;
    labels[name] = value;
  }
  return { metric, labels };
}

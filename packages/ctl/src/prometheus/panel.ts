/** One query of a dashboard, and how it is drawn. */
export type Panel = {
  readonly title: string;
  /** PromQL; `$host` stands for the chosen hosts, as a regular expression. */
  readonly expr: string;
  /** What a line is called, with labels in `{{ }}`. */
  readonly legend: string;
  /** Grafana's name of the unit. */
  readonly unit: "none" | "short" | "percentunit" | "bytes" | "Bps" | "s" | "celsius";
  /** A number of now, a line over time, or rows of now. */
  readonly as: "stat" | "timeseries" | "table";
  /** A value from here on is red; below it, green. */
  readonly red_from?: number;
};

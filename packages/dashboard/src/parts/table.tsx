/** A table of what there is now: a heading a column, a name a row; it scrolls by itself where it is wider than the page. */
import type { ComponentChildren } from "preact";

export type TableProps<R> = {
  readonly label: string;
  readonly titles: readonly string[];
  readonly rows: readonly R[];
  readonly keyOf: (row: R) => string;
  /** The first is the row's name. */
  readonly cells: (row: R) => readonly ComponentChildren[];
};

export function Table<R>({ label, titles, rows, keyOf, cells }: TableProps<R>) {
  return (
    <div class="wide">
      <table aria-label={label}>
        <thead>
          <tr>
            {titles.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} data-of={`${label} ${keyOf(row)}`}>
              {cells(row).map((cell, column) =>
                column === 0 ? (
                  <th key={column} scope="row">
                    {cell}
                  </th>
                ) : (
                  <td key={column}>{cell}</td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

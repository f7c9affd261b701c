/**
 * A long list of which only what is seen is in the page: rows of one height, reached by keyboard too. A row that is the same object as before is not drawn
 * again, and one that stays where it is is not moved: however much comes, the page does no more than what changes to the eye.
 */
import { Component, type ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const ROW_PX = 40;
const MORE_ROWS = 8;
const FEW_ROWS = 48;
/** Whoever scrolls gets rows by so many. */
const STEP_ROWS = 8;

type Drawn<R> = {
  readonly keyOf: (row: R) => string;
  readonly hrefOf?: ((row: R) => string | undefined) | undefined;
  readonly cells: (row: R) => readonly ComponentChildren[];
};

export type RowsProps<R> = Drawn<R> & {
  readonly label: string;
  /** A row that says something else is another object. */
  readonly rows: readonly R[];
  readonly titles: readonly string[];
  /** CSS columns of a row. */
  readonly kind: string;
};

export function Rows<R>({ label, rows, titles, kind, ...drawn }: RowsProps<R>) {
  const place = useRef<HTMLDivElement>(null);
  const [[from, to], setSpan] = useState<readonly [number, number]>([0, FEW_ROWS]);
  useEffect(() => {
    const look = () => {
      const top = place.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, stepped(Math.floor(-top / ROW_PX) - MORE_ROWS));
      const last = stepped(Math.ceil((innerHeight - top) / ROW_PX) + MORE_ROWS) + STEP_ROWS;
      setSpan((before) => (before[0] === first && before[1] === last ? before : [first, last]));
    };
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look);
      removeEventListener("resize", look);
    };
  }, [rows.length]);
  const move = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    if (by === undefined || !(event.target instanceof HTMLElement)) return;
    const after = (row: Element | null | undefined) =>
      by === 1 ? row?.nextElementSibling : row?.previousElementSibling;
    let next = after(event.target.closest("[data-row]"));
    // The title of a group leads nowhere, and is passed over.
    while (next instanceof HTMLElement && next.tabIndex < 0) next = after(next);
    if (!(next instanceof HTMLElement)) return;
    event.preventDefault();
    next.focus();
  };
  return (
    <div class={`rows ${kind}`} role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div class="row titles" role="row">
        {titles.map((title) => (
          <span key={title} role="columnheader">
            {title}
          </span>
        ))}
      </div>
      <div
        ref={place}
        class="all"
        role="rowgroup"
        style={{ height: `${rows.length * ROW_PX}px` }}
        onKeyDown={move}
      >
        {rows.slice(from, to).map((row, index) => (
          <Line key={drawn.keyOf(row)} {...drawn} row={row} at={from + index} />
        ))}
      </div>
    </div>
  );
}

const stepped = (row: number) => Math.floor(row / STEP_ROWS) * STEP_ROWS;

type LineProps<R> = Drawn<R> & { readonly row: R; readonly at: number };

class Line<R> extends Component<LineProps<R>> {
  override shouldComponentUpdate(next: LineProps<R>): boolean {
    return next.row !== this.props.row || next.at !== this.props.at;
  }

  override render({ row, at, keyOf, hrefOf, cells }: LineProps<R>) {
    const href = hrefOf?.(row);
    const open = href === undefined ? undefined : () => location.assign(href);
    return (
      <div
        class="row"
        role="row"
        aria-rowindex={at + 2}
        data-row={keyOf(row)}
        style={{ top: `${at * ROW_PX}px` }}
        tabIndex={href === undefined ? -1 : 0}
        onClick={open}
        onKeyDown={(event: KeyboardEvent) => {
          if (event.key === "Enter") open?.();
        }}
      >
        {cells(row).map((cell, column) => (
          <span key={column} role="cell">
            {cell}
          </span>
        ))}
      </div>
    );
  }
}

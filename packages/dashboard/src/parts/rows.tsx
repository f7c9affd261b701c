/** A long list of which only what is seen is in the page: rows of one height, reached by keyboard too. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const ROW_PX = 40;
const MORE_ROWS = 8;
const FEW_ROWS = 60;

export type RowsProps<R> = {
  readonly label: string;
  readonly rows: readonly R[];
  readonly titles: readonly string[];
  /** CSS columns of a row. */
  readonly kind: string;
  readonly keyOf: (row: R) => string;
  readonly hrefOf?: (row: R) => string | undefined;
  readonly cells: (row: R) => readonly ComponentChildren[];
};

export function Rows<R>({ label, rows, titles, kind, keyOf, hrefOf, cells }: RowsProps<R>) {
  const place = useRef<HTMLDivElement>(null);
  const [[from, to], setSpan] = useState<[number, number]>([0, FEW_ROWS]);
  useEffect(() => {
    const look = () => {
      const top = place.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / ROW_PX) - MORE_ROWS);
      const last = Math.ceil((innerHeight - top) / ROW_PX) + MORE_ROWS;
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
    const row = event.target.closest("[data-row]");
    const next = by === 1 ? row?.nextElementSibling : row?.previousElementSibling;
    if (next instanceof HTMLElement && next.tabIndex >= 0) {
      event.preventDefault();
      next.focus();
    }
  };
  const shown = rows.slice(from, to);
  return (
    <div class={`rows ${kind}`} role="table" aria-label={label} aria-rowcount={rows.length + 1}>
      <div class="row titles" role="row">
        {titles.map((title) => (
          <span key={title} role="columnheader">
            {title}
          </span>
        ))}
      </div>
      <div ref={place} role="rowgroup" style={{ height: `${rows.length * ROW_PX}px` }} onKeyDown={move}>
        <div style={{ transform: `translateY(${from * ROW_PX}px)` }}>
          {shown.map((row, at) => {
            const href = hrefOf?.(row);
            const open = href === undefined ? undefined : () => location.assign(href);
            return (
              <div
                key={keyOf(row)}
                class="row"
                role="row"
                aria-rowindex={from + at + 2}
                data-row={keyOf(row)}
                tabIndex={href === undefined ? -1 : 0}
                onClick={open}
                onKeyDown={(event) => {
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
          })}
        </div>
      </div>
    </div>
  );
}

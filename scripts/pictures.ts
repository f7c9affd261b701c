/**
 * The README's pictures as SVG, in docs/pictures/: the parts, `ctl status` and `ctl watch`. The two terminals show what the programs' own code prints for
 * the fleet of the golden tests, in its colours; `npm run docs` writes them, and stale ones are red. Pure.
 */

import { statusOf } from "@muster/view/status";
import { openColour } from "../packages/ctl/src/output/colour.ts";
import { tableLines, widthOf } from "../packages/ctl/src/output/table.ts";
import { statusColumns, troubleLines } from "../packages/ctl/src/report/status.ts";
import { START } from "../packages/ctl/src/watch/keys.ts";
import { frameOf } from "../packages/ctl/src/watch/view.ts";
import { DOWN, HOUR, known, MIN, NOW, SESSION, sample } from "../test/unit/ctl/report/samples.ts";
import { smallFleet } from "../test/unit/ctl/watch/fleet.ts";

/** Every picture, by its path. */
export function pictures(): ReadonlyMap<string, string> {
  const colour = openColour(true);
  const watch = frameOf(smallFleet(), START, { rows: 16, columns: 116 }, NOW, colour).lines;
  return new Map([
    ["docs/pictures/parts.svg", parts()],
    ["docs/pictures/status.svg", terminal("ctl status", statusLines())],
    ["docs/pictures/watch.svg", terminal("ctl watch", watch)],
  ]);
}

function statusLines(): string[] {
  const colour = openColour(true);
  const rows = [
    known("core1", {
      groups: ["core"],
      bgp: sample({ ...SESSION, name: "ixp1" }, { ...SESSION, name: "probe1" }),
    }),
    known("ixp1", { groups: ["ixp"], bgp: sample(SESSION, DOWN) }),
    known("ixp2", {
      groups: ["ixp"],
      said: {
        drift: [{ ref: "bird/main", what: "edited by root 03:12", since: NOW - HOUR, action: "left" }],
      },
    }),
    known("probe1", { groups: ["probe"], silent: true, heard_at: NOW - 12 * MIN, bgp: null }),
  ].map((each) => statusOf(each, NOW));
  return [...tableLines(rows, statusColumns(NOW, colour)), ...troubleLines(rows, colour)];
}

const CELL = { width: 7.83, height: 18, size: 13 } as const;
const PAD = 14;
const COLOURS = {
  back: "#14181d",
  text: "#d7dce2",
  bar: "#8b95a1",
  31: "#ff6b68",
  32: "#6cc66c",
  33: "#e5b454",
} as const;

type Style = { fill: string; bold: boolean; dim: boolean };
type Piece = { text: string; style: Style };

/** A line with SGR codes (ECMA-48) as pieces of one look each. */
export function piecesOf(line: string): Piece[] {
  const style: Style = { fill: COLOURS.text, bold: false, dim: false };
  const pieces: Piece[] = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character begins every colour.
  for (const [, code, text] of line.matchAll(/\u001b\[(\d+)m|([^\u001b]+)/g)) {
    if (text !== undefined) pieces.push({ text, style: { ...style } });
    else if (code === "31" || code === "32" || code === "33") style.fill = COLOURS[code];
    else if (code === "39") style.fill = COLOURS.text;
    else if (code === "1") style.bold = true;
    else if (code === "2") style.dim = true;
    else if (code === "22") Object.assign(style, { bold: false, dim: false });
  }
  return pieces;
}

/** A terminal with a title. */
export function terminal(title: string, lines: readonly string[]): string {
  const columns = Math.max(title.length, ...lines.map(widthOf));
  const [width, height] = [Math.ceil(columns * CELL.width) + 2 * PAD, (lines.length + 2) * CELL.height + PAD];
  const rows = lines.flatMap((line, at) => {
    let column = 0;
    return piecesOf(line).flatMap(({ text, style }) => {
      const look = `${style.bold ? ' font-weight="bold"' : ""}${style.dim ? ' opacity="0.6"' : ""}`;
      // What stands between two gaps has a place of its own: a font of other width shifts no column.
      return text.split(/( {2,}|^ | $)/).flatMap((part) => {
        const [from, cells] = [column, widthOf(part)];
        column += cells;
        if (part.trim() === "") return [];
        const place = `x="${round(PAD + from * CELL.width)}" y="${(at + 3) * CELL.height - 6}"`;
        return [
          `<text ${place} textLength="${round(cells * CELL.width)}" fill="${style.fill}"${look}>${escaped(part)}</text>`,
        ];
      });
    });
  });
  return svg(width, height, title, [
    `<rect width="${width}" height="${height}" rx="8" fill="${COLOURS.back}"/>`,
    `<text x="${PAD}" y="${CELL.height + 2}" fill="${COLOURS.bar}">$ ${escaped(title)}</text>`,
    ...rows,
  ]);
}

const round = (length: number): string => length.toFixed(1).replace(/\.0$/, "");
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

function svg(width: number, height: number, title: string, inside: readonly string[]): string {
  const font = `font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${CELL.size}"`;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" ${font} xml:space="preserve">`,
    `<title>${escaped(title)}</title>`,
    ...inside,
    "</svg>",
  ].join("\n")}\n`;
}

type Box = { x: number; y: number; w: number; title: string; text: string };

const BOXES: readonly Box[] = [
  { x: 20, y: 40, w: 190, title: "folder", text: "plain files, yours" },
  { x: 20, y: 170, w: 190, title: "ctl", text: "renders, signs with your key" },
  { x: 300, y: 40, w: 200, title: "Vault", text: "keys that never leave it" },
  { x: 300, y: 170, w: 200, title: "broker (NATS)", text: "carries, cannot forge" },
  { x: 300, y: 300, w: 200, title: "controller", text: "admits, sends in waves, keeps" },
  { x: 590, y: 105, w: 230, title: "agent on ixp1", text: "checks, applies, undoes by itself" },
  { x: 590, y: 235, w: 230, title: "agent on core1", text: "BIRD, files, services, containers" },
];

/** From, to, and what goes there; both ends on the edges of boxes. */
const ARROWS: readonly { from: [number, number]; to: [number, number]; says: string }[] = [
  { from: [115, 100], to: [115, 170], says: "what should be" },
  { from: [210, 200], to: [300, 200], says: "signed" },
  { from: [210, 180], to: [300, 85], says: "log-in" },
  { from: [400, 300], to: [400, 230], says: "waves" },
  { from: [500, 190], to: [590, 140], says: "" },
  { from: [500, 210], to: [590, 260], says: "" },
];

function parts(): string {
  const boxes = BOXES.flatMap(({ x, y, w, title, text }) => [
    `<rect x="${x}" y="${y}" width="${w}" height="60" rx="8" fill="${COLOURS.back}" stroke="${COLOURS.bar}"/>`,
    `<text x="${x + 12}" y="${y + 25}" fill="${COLOURS.text}" font-weight="bold">${escaped(title)}</text>`,
    `<text x="${x + 12}" y="${y + 46}" fill="${COLOURS.bar}" font-size="11">${escaped(text)}</text>`,
  ]);
  const arrows = ARROWS.flatMap(({ from: [x1, y1], to: [x2, y2], says }) => [
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${COLOURS[32]}" stroke-width="2" marker-end="url(#tip)"/>`,
    ...(says === ""
      ? []
      : [
          `<text x="${(x1 + x2) / 2 + (x1 === x2 ? 8 : -22)}" y="${(y1 + y2) / 2 - (x1 === x2 ? -4 : 8)}" fill="${COLOURS[32]}" font-size="11">${escaped(says)}</text>`,
        ]),
  ]);
  return svg(840, 380, "The parts of Muster", [
    `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0 8 4 0 8z" fill="${COLOURS[32]}"/></marker></defs>`,
    `<rect width="840" height="380" rx="8" fill="#0d1014"/>`,
    ...boxes,
    ...arrows,
    `<text x="590" y="325" fill="${COLOURS.bar}" font-size="11">what they see comes back the same way</text>`,
  ]);
}

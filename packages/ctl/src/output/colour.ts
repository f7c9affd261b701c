/** Three colours with a meaning: red is wrong, amber wants attention, green is as it should be. Nothing depends on colour alone. */
export type Paint = (text: string) => string;
export type Colour = {
  readonly red: Paint;
  readonly amber: Paint;
  readonly green: Paint;
  readonly bold: Paint;
  readonly dim: Paint;
};

const plain: Paint = (text) => text;
const sgr =
  (on: number, off: number): Paint =>
  (text) =>
    `\u001b[${on}m${text}\u001b[${off}m`;

/** SGR codes of ECMA-48 when `on`, else the text as it is. */
export function openColour(on: boolean): Colour {
  if (!on) return { red: plain, amber: plain, green: plain, bold: plain, dim: plain };
  return { red: sgr(31, 39), amber: sgr(33, 39), green: sgr(32, 39), bold: sgr(1, 22), dim: sgr(2, 22) };
}

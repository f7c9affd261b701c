/** Python's `%` formatting and `str.format`, as far as templates use them: `%s %d %i %x %X %o %f %r %%`, `{}`, `{0}`, `{name:04d}`. */
import {
  type CallArguments,
  Float,
  isNumber,
  numberOf,
  repr,
  str,
  typeName,
  type Value,
  ValueError,
} from "./value.ts";

interface Format {
  readonly left: boolean;
  readonly zero: boolean;
  readonly plus: boolean;
  readonly width: number;
  readonly precision: number | null;
  readonly type: string;
}

/** Wider fields than this are a mistake. */
const MAX_WIDTH = 1000;

function formatted(value: Value, format: Format): string {
  let text: string;
  if ("dixXofF".includes(format.type)) {
    if (!isNumber(value)) throw new ValueError(`\`%${format.type}\` wants a number, not ${typeName(value)}`);
    const number = numberOf(value);
    const whole = Math.trunc(number);
    if (format.type === "f" || format.type === "F")
      text = number.toFixed(Math.min(format.precision ?? 6, 20));
    else if (format.type === "x") text = whole.toString(16);
    else if (format.type === "X") text = whole.toString(16).toUpperCase();
    else if (format.type === "o") text = whole.toString(8);
    else text = String(whole);
    if (format.plus && number >= 0) text = `+${text}`;
  } else {
    text = format.type === "r" ? repr(value) : str(value);
    if (format.precision !== null) text = text.slice(0, format.precision);
  }
  const width = Math.min(format.width, MAX_WIDTH);
  if (format.left) return text.padEnd(width);
  if (format.zero && format.type !== "s") {
    const sign = /^[+-]/.exec(text)?.[0] ?? "";
    return sign + text.slice(sign.length).padStart(width - sign.length, "0");
  }
  return text.padStart(width);
}

/** `"%s is %d" % values`. */
export function formatPercent(pattern: string, values: readonly Value[]): string {
  let used = 0;
  const text = pattern.replace(
    /%(?:\((\w+)\))?([-+0 #]*)(\d*)(?:\.(\d+))?(.)/gs,
    (
      _,
      key: string | undefined,
      flags: string,
      width: string,
      precision: string | undefined,
      type: string,
    ) => {
      if (type === "%") return "%";
      if (!"sdixXofFr".includes(type)) throw new ValueError(`\`%${type}\` is not a format known here`);
      let value: Value | undefined;
      if (key === undefined) value = values[used++];
      else value = values[0] instanceof Map ? values[0].get(key) : undefined;
      if (value === undefined) throw new ValueError(`\`${pattern}\` wants more values than it is given`);
      return formatted(value, {
        left: flags.includes("-"),
        zero: flags.includes("0"),
        plus: flags.includes("+"),
        width: Number(width),
        precision: precision === undefined ? null : Number(precision),
        type,
      });
    },
  );
  if (used > 0 && used < values.length)
    throw new ValueError(`\`${pattern}\` uses ${used} of ${values.length} values`);
  return text;
}

/** `"{} {name:>8}".format(…)`. */
export function formatBraces(pattern: string, args: CallArguments): string {
  let used = 0;
  return pattern.replace(
    /\{\{|\}\}|\{(\w*)(?::([^{}]*))?\}/g,
    (whole, key: string | undefined, spec: string | undefined) => {
      if (whole === "{{" || whole === "}}") return whole.slice(1);
      const name = key ?? "";
      const value =
        name === ""
          ? args.positional[used++]
          : /^\d+$/.test(name)
            ? args.positional[Number(name)]
            : args.named.get(name);
      if (value === undefined) throw new ValueError(`\`${whole}\` has no value`);
      const parts = /^([<>])?([+]?)(0?)(\d*)(?:\.(\d+))?([sdxXof]?)$/.exec(spec ?? "");
      if (parts === null) throw new ValueError(`\`${whole}\` is not a format known here`);
      const number = isNumber(value) && typeof value !== "boolean";
      return formatted(value, {
        left: parts[1] === "<" || (parts[1] === undefined && !number),
        zero: parts[3] === "0",
        plus: parts[2] === "+",
        width: Number(parts[4]),
        precision: parts[5] === undefined ? null : Number(parts[5]),
        type: parts[6] || (value instanceof Float && parts[5] !== undefined ? "f" : "s"),
      });
    },
  );
}

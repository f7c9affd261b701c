/** How values are compared in selectors: patterns, and versions and numbers piece by piece. Pure. */

export const isPattern = (text: string): boolean => /[*?]/.test(text);

function glob(pattern: string): RegExp {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}

export const like = (value: string, wanted: string): boolean =>
  isPattern(wanted) ? glob(wanted).test(value) : value === wanted;

/** As people order versions: digits as numbers, the rest as text; a missing piece comes first (2.0 before 2.0.12). */
export function compare(a: string, b: string): number {
  const [left, right] = [pieces(a), pieces(b)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [left[at], right[at]];
    if (one === other) continue;
    if (one === undefined) return -1;
    if (other === undefined) return 1;
    const numbers = Number(one) - Number(other);
    if (!Number.isNaN(numbers) && numbers !== 0) return numbers;
    if (Number.isNaN(numbers)) return one < other ? -1 : 1;
  }
  return 0;
}

const pieces = (text: string): string[] => text.match(/\d+|[^\d.]+/g) ?? [];

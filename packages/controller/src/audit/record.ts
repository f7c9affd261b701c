/** What lies in stream AUDIT, read with care: under a writer's subject is whatever was published with that writer's key, and a stolen host keeps to no form. */

/** Records are flat. What is nested by thousands cannot be written down again: that ends where the stack does. */
const LEVELS = 8;

/** The record as it was written; what is no JSON, or no record by its shape, as the text that it is. */
export function recordIn(body: Uint8Array): unknown {
  const text = Buffer.from(body).toString();
  try {
    const record: unknown = JSON.parse(text);
    return isShallow(record, LEVELS) ? record : text;
  } catch {
    return text;
  }
}

const isShallow = (value: unknown, levels: number): boolean =>
  typeof value !== "object" ||
  value === null ||
  (levels > 0 && Object.values(value).every((each) => isShallow(each, levels - 1)));

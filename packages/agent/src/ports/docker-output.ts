/** What a command or a log in a container printed, as text. */

/** More of it is not kept. */
const OUTPUT_LIMIT_BYTES = 64 * 1024;

export async function textOf(stream: NodeJS.ReadableStream, signal: AbortSignal): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("no end in time")), { once: true });
    stream.on("data", (part: Buffer) => {
      size += part.length;
      if (size <= OUTPUT_LIMIT_BYTES) parts.push(part);
    });
    stream.on("end", resolve).on("close", resolve).on("error", reject);
  });
  return Buffer.concat(parts).toString("utf8");
}

/** Takes the 8-byte heads of Docker's stream format away (stream, three zeros, length). */
export function unframed(raw: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= raw.length; ) {
    const length = raw.readUInt32BE(at + 4);
    parts.push(raw.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts).toString("utf8");
}

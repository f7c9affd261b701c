/** Replaces the same files again and again, all at once, each time with another letter, until it is killed: `writer.ts PREFIX PATHS`. */
import { createFiles } from "@muster/agent/ports/files";

const [prefix = "", paths = "[]"] = process.argv.slice(2);
const attributes = { owner: "root", group: "root", mode: "0640" };
const files = createFiles(prefix);
for (let round = 0; ; round++) {
  const content = Buffer.from(String.fromCharCode(97 + (round % 25)).repeat(16_000));
  await files.replaceAll((JSON.parse(paths) as string[]).map((path) => ({ path, content, attributes })));
}

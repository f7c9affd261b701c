/** Kind `certificate`: one that is looked at. What it is and what is wrong with it, the collector of that name tells (`collectors/certificates.ts`). */
import { remembered } from "./remembered.ts";

export const certificate = remembered(
  "certificate",
  ({ file, connect }) => `looked at: ${file ?? `what ${connect} shows`}`,
);

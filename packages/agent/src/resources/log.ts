/** Kind `log`: whose lines are sent. `collectors/logs.ts` follows them. */
import { remembered } from "./remembered.ts";

export const log = remembered("log", ({ units, containers, priority }) =>
  [
    ...(units.length > 0 ? [`sends the journal of ${units.join(", ")} from ${priority}`] : []),
    ...(containers.length > 0 ? [`sends what ${containers.join(", ")} writes`] : []),
  ].join("; "),
);

/** What may be asked of last values: the fields of every kind of telemetry. Made from the schemas, so it takes some milliseconds: not for a start. */
import { jsonSchemaOf } from "../json-schema.ts";
import { TELEMETRY, TELEMETRY_KINDS } from "../telemetry/index.ts";
import { type Shapes, shapeOf } from "./shape.ts";

export const telemetryShapes = (): Shapes =>
  Object.fromEntries(
    TELEMETRY_KINDS.map((kind) => [kind, shapeOf(jsonSchemaOf(TELEMETRY[kind].sample, "output"))]),
  );

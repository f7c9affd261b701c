/**
 * Any JSON value, of whatever form: what reads it has a schema of its own. It came out of `JSON.parse`, so that there is nothing to check but that it is there:
 * `z.json()` walks through all of it, every leaf against seven schemas, which took a quarter of a ping and more of a plan.
 */
import { z } from "zod";

type JsonValue = z.core.util.JSONType;

export const Json = z.unknown().refine((value) => value !== undefined, "must be there") as z.ZodType<
  JsonValue,
  JsonValue
>;

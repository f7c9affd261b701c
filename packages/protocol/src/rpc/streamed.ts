/** A streamed RPC row: the method's reply only names the stream, whose chunks and end have a form each. They are fetched with `next`. */
import { z } from "zod";
import { RandomId } from "../names.ts";
import { type Method, method } from "./method.ts";

export const OpenedStream = z.object({ stream: RandomId.describe("Give it to `next`.") });
export type OpenedStream = z.infer<typeof OpenedStream>;

export type StreamedMethod<
  Q extends z.ZodType = z.ZodType,
  C extends z.ZodType = z.ZodType,
  E extends z.ZodType = z.ZodType,
> = Method<Q, typeof OpenedStream> & {
  /** At most 64 KiB as JSON. */
  readonly chunk: C;
  /** What the end marker says when it went well. */
  readonly end: E;
};

export const streamed = <Q extends z.ZodType, C extends z.ZodType, E extends z.ZodType>(row: {
  what: string;
  request: Q;
  chunk: C;
  end: E;
  authority: "operator" | "admin";
  timeout_ms: number;
  for_ci?: boolean;
  audited?: "acts" | "sums";
}): StreamedMethod<Q, C, E> => {
  const { chunk, end, ...rest } = row;
  return { ...method({ ...rest, reply: OpenedStream }), chunk, end };
};
